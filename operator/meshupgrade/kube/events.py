"""Kubernetes Events: what kubectl describe shows under an object, for people who look at it and tools that alert.

An event tells and nothing depends on it: one that cannot be written is given up. Its name comes of what it tells, so
the same is not told twice by a run that repeats what another one did before it died.
"""

import asyncio
import hashlib
import logging
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from meshupgrade.api.v1alpha1.names import GROUP
from meshupgrade.kube.client import Kube, ObjectRef
from meshupgrade.kube.errors import Conflict, KubeError

__all__ = ["Event", "write_events"]

logger = logging.getLogger(__name__)

API_VERSION = "events.k8s.io/v1"
TIMEOUT = 5.0
"""Seconds that the events of one occasion may take together."""

# The bounds of the API (k8s.io/kubernetes/pkg/apis/core/validation/events.go).
MAX_NOTE = 1024
MAX_INSTANCE = 128
MAX_NAME = 253


@dataclass(frozen=True)
class Event:
    """One thing to tell."""

    reason: str
    note: str
    warning: bool = True


async def write_events(kube: Kube, about: ObjectRef, uid: str, generation: int, events: Sequence[Event]) -> None:
    """Write events about a generation of an object. Raises nothing of kube."""
    try:
        async with asyncio.timeout(TIMEOUT):
            await asyncio.gather(*(_write(kube, about, uid, generation, event) for event in events))
    except (KubeError, TimeoutError) as error:
        logger.warning("events of %s are not written: %s", about, error or type(error).__name__)


async def _write(kube: Kube, about: ObjectRef, uid: str, generation: int, event: Event) -> None:
    note = event.note if len(event.note) <= MAX_NOTE else event.note[: MAX_NOTE - 2] + " …"
    told = f"{uid}/{generation}/{event.reason}/{note}"
    body = {
        "apiVersion": API_VERSION,
        "kind": "Event",
        "metadata": {
            "name": f"{about.name[: MAX_NAME - 17]}.{hashlib.sha256(told.encode()).hexdigest()[:16]}",
            "namespace": about.namespace,
        },
        "eventTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "type": "Warning" if event.warning else "Normal",
        "reason": event.reason,
        "action": "Plan",
        "note": note,
        "regarding": {
            "apiVersion": about.api_version,
            "kind": about.kind,
            "name": about.name,
            "namespace": about.namespace,
            "uid": uid,
        },
        "reportingController": f"{GROUP}/operator",
        "reportingInstance": socket.gethostname()[:MAX_INSTANCE],
    }
    try:
        await kube.json("POST", await kube.path(API_VERSION, "Event", about.namespace), body=body)
    except Conflict:
        # It is told already.
        return
