"""The soak of the canary: its workloads have to stay healthy for a while before the others are restarted."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from meshupgrade.api.v1alpha1.conditions import Reason
from meshupgrade.api.v1alpha1.rules import parse_duration
from meshupgrade.domain.label_selectors import selects
from meshupgrade.domain.restarts import is_for, time_left
from meshupgrade.kube.client import ObjectRef
from meshupgrade.phases.data_plane.live import Live
from meshupgrade.phases.data_plane.restart import Failed, Restarts

__all__ = ["soak"]

LOOK_EVERY = 10.0
"""Seconds between two looks at the canary, at most; of a short soak there are some looks all the same."""

LEAST_LOOKS = 5

BAD_LOOKS = 2
"""A workload that is not ready at so many looks in a row has failed; one that is scaled is not ready for a moment."""


async def soak(
    restarts: Restarts, until: datetime | None, begin: Callable[[datetime], Awaitable[None]]
) -> Failed | None:
    """Wait until the canary has soaked, and give the workload that did not stay healthy.

    ``until`` is when a soak that was begun before ends, and ``begin`` records that of a new one. Raises what
    ``work.hold`` raises, and the errors of kube.
    """
    work, spec = restarts.work, restarts.work.spec.data_plane.canary
    if spec is None:
        return None
    canary = [
        live for live in restarts.live.of_namespace(spec.namespace) if is_for(live.restarted_for, restarts.target)
    ]
    if not canary:
        return None
    length = parse_duration(spec.soak)
    if until is None:
        until = datetime.now(UTC) + length
        await begin(until)
    pause, bad = min(LOOK_EVERY, length.total_seconds() / LEAST_LOOKS), dict[ObjectRef, int]()
    while True:
        for ref in [live.ref for live in canary]:
            ready = (live := restarts.live.get(ref)) is None or live.ready
            bad[ref] = 0 if ready else bad.get(ref, 0) + 1
        if failed := await _unhealthy(restarts, canary, bad, since=until - length):
            return failed
        left = (until - datetime.now(UTC)).total_seconds()
        if left <= 0 and not any(bad.values()):
            return None
        await work.report(f"the canary namespace {spec.namespace} has to stay healthy for another {time_left(left)}")
        await asyncio.sleep(min(pause, left) if left > 0 else pause)
        await work.hold()


async def _unhealthy(
    restarts: Restarts, canary: list[Live], bad: Mapping[ObjectRef, int], *, since: datetime
) -> Failed | None:
    kube = restarts.work.tools.kube
    for live in canary:
        if bad.get(live.ref, 0) >= BAD_LOOKS:
            obj = await restarts.live.refresh(live.ref)
            cause = await restarts.diagnose(obj) if obj is not None else None
            said = f": {cause}" if cause is not None else "; its Pods do not say why"
            reason = cause.reason if cause is not None else Reason.UNHEALTHY
            return Failed(live.ref, reason, f"it did not stay ready in the soak of the canary{said}")
    async for pod in kube.list_objects("v1", "Pod", canary[0].ref.namespace):
        labels = pod["metadata"].get("labels") or {}
        owner = next((live for live in canary if selects(live.selector, labels)), None)
        if owner is not None and (crashed := _crashed(pod, since)):
            name = pod["metadata"]["name"]
            return Failed(
                owner.ref, Reason.CRASH_LOOP, f"container {crashed} of Pod {name} crashed in the soak of the canary"
            )
    return None


def _crashed(pod: Mapping[str, Any], since: datetime) -> str:
    """Give the container that ended badly since then; empty when none did."""
    for status in (pod.get("status") or {}).get("containerStatuses") or []:
        for state in (status.get("state") or {}, status.get("lastState") or {}):
            ended = state.get("terminated") or {}
            at = ended.get("finishedAt")
            # The time has no fractions of a second.
            if at and ended.get("exitCode") and datetime.fromisoformat(at) > since - timedelta(seconds=1):
                return str(status["name"])
        if ((status.get("state") or {}).get("waiting") or {}).get("reason") == "CrashLoopBackOff":
            return str(status["name"])
    return ""
