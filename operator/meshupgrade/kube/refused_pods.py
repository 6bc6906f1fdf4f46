"""Why a workload gets no Pods: the API server refuses them, by a quota, a webhook or another rule.

A Deployment shows it in its own condition; of the other kinds only the Events of the controller tell. Source:
k8s.io/kubernetes/pkg/controller (deployment, replicaset, statefulset, daemon).
"""

import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any

from meshupgrade.api.v1alpha1.conditions import Reason
from meshupgrade.kube.causes import Cause
from meshupgrade.kube.client import Kube
from meshupgrade.kube.errors import Forbidden

__all__ = ["cause_of_refusal", "last_refusal", "wanted_pods", "why_refused"]

logger = logging.getLogger(__name__)

Object = Mapping[str, Any]

BY_EVENTS = ("StatefulSet", "DaemonSet", "ReplicaSet")

MOST = 500
"""Characters of what the API server said."""

_PREFIX = re.compile(r"^(Create Pod \S+ in StatefulSet \S+ failed error|Error creating): ")
"""What the controllers put before it in their Events."""

_WEBHOOK = re.compile(r'failed calling webhook "([^"]+)"')
_SERVICE = re.compile(r'"https://([^./"]+)\.([^./"]+)\.svc[:/"]')
_URL = re.compile(r'"(https://[^/"]+)')


async def why_refused(kube: Kube, workload: Object, pods: Sequence[Object]) -> Cause | None:
    """Give why the API server takes no more Pods of the workload, None when it does, or nothing says so.

    ``pods`` are those that it has.
    """
    name = f"{workload['kind']} {workload['metadata']['name']}"
    message = _condition(workload)
    if message is None and workload["kind"] in BY_EVENTS:
        newest = max((pod["metadata"]["creationTimestamp"] for pod in pods), default="")
        message = last_refusal(await _events(kube, workload), since=newest)
    return cause_of_refusal(name, message) if message is not None else None


def cause_of_refusal(workload: str, message: str) -> Cause:
    """Give the cause out of what the API server said when it refused a Pod."""
    said = _PREFIX.sub("", message.strip()).rstrip(".")[:MOST]
    if webhook := _WEBHOOK.search(message):
        served = _served_by(message)
        by = f" of {served}" if served else ""
        return Cause(
            Reason.WEBHOOK_UNREACHABLE,
            f"{workload} cannot make Pods: the webhook {webhook[1]}{by} does not answer: {said}",
            f"Bring {served or 'what serves it'} up, or take the webhook out of its configuration",
        )
    if "exceeded quota" in message:
        remedy = "Raise the quota of the namespace, or free some of it"
        return Cause(Reason.QUOTA, f"{workload} cannot make Pods: {said}", remedy)
    if "failed quota" in message:
        remedy = "Give its containers the requests and limits that the quota asks for, or change the quota"
        return Cause(Reason.QUOTA, f"{workload} cannot make Pods: {said}", remedy)
    return Cause(Reason.API_REJECTED, f"{workload} cannot make Pods: {said}", "Change its Pods, or what refuses them")


def last_refusal(events: Sequence[Object], since: str = "") -> str | None:
    """Give what the API server said last when it refused a Pod; None when a Pod was made later.

    ``since`` is when the newest Pod was made: a controller with much to say does not tell of each.
    """
    told = [event for event in events if event.get("reason") in ("FailedCreate", "SuccessfulCreate")]
    # Times have seconds only: in the same one, a failure counts.
    last = max(told, key=lambda event: (_time(event), event["reason"] == "FailedCreate"), default=None)
    if last is None or last["reason"] != "FailedCreate" or _time(last) < since.removesuffix("Z"):
        return None
    return str(last.get("message") or "")


def wanted_pods(workload: Object) -> int:
    """Give how many Pods the workload is to have."""
    if workload["kind"] == "DaemonSet":
        return int((workload.get("status") or {}).get("desiredNumberScheduled") or 0)
    return int(workload["spec"].get("replicas", 1))


def _condition(workload: Object) -> str | None:
    for condition in (workload.get("status") or {}).get("conditions") or []:
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            return str(condition.get("message") or "")
    return None


async def _events(kube: Kube, workload: Object) -> list[Object]:
    metadata = workload["metadata"]
    selector = f"involvedObject.uid={metadata['uid']}"
    try:
        return [event async for event in kube.list_objects("v1", "Event", metadata["namespace"], fields=selector)]
    except Forbidden as error:
        logger.info("the events of %s may not be read: %s", metadata["name"], error)
        return []


def _time(event: Object) -> str:
    series = event.get("series") or {}
    times = (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    # A fraction would sort before the Z of a time without one.
    return max(str(time or "").partition(".")[0].removesuffix("Z") for time in times)


def _served_by(message: str) -> str:
    if service := _SERVICE.search(message):
        return f"Service {service[2]}/{service[1]}"
    url = _URL.search(message)
    return url[1] if url else ""
