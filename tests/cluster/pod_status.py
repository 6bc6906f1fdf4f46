"""Statuses that a kubelet would write for a Pod which is not ready yet."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

__all__ = ["crashing", "running_not_ready", "unpullable", "waiting_in_init"]

Pod = Mapping[str, Any]
Status = dict[str, Any]
State = dict[str, Any]


def running_not_ready(pod: Pod) -> Status:
    """Its containers run, its readiness probes fail; init containers have done their work."""
    containers = pod["spec"]["containers"]
    running = [_container(one, {"running": {}}, started=True) for one in containers]
    return _status("Running", running, _finished(pod["spec"].get("initContainers", ())))


def waiting_in_init(pod: Pod, name: str | None = None) -> Status:
    """The init container `name` (default: the first) runs; without any init container, the containers run unready."""
    inits = pod["spec"].get("initContainers", ())
    names = [one["name"] for one in inits]
    if not names:
        return running_not_ready(pod)
    at = names.index(name) if name else 0
    return _init_status(pod, at, {"running": {}})


def crashing(pod: Pod, name: str, message: str, restarts: int) -> Status:
    """Container or init container `name` has ended with an error and is about to be started again."""
    return _stopped(pod, name, _waiting("CrashLoopBackOff", "back-off restarting failed container"), message, restarts)


def unpullable(pod: Pod, name: str, message: str) -> Status:
    """The image of container or init container `name` cannot be pulled."""
    return _stopped(pod, name, _waiting("ImagePullBackOff", message), None, 0)


def _stopped(pod: Pod, name: str, state: State, crash: str | None, restarts: int) -> Status:
    inits = pod["spec"].get("initContainers", ())
    names = [one["name"] for one in inits]
    if name in names:
        return _init_status(pod, names.index(name), state, crash, restarts)
    statuses = [
        _container(one, state, crash, restarts)
        if one["name"] == name
        else _container(one, {"running": {}}, started=True)
        for one in pod["spec"]["containers"]
    ]
    return _status("Pending" if crash is None else "Running", statuses, _finished(inits))


def _init_status(pod: Pod, at: int, state: State, crash: str | None = None, restarts: int = 0) -> Status:
    inits = pod["spec"]["initContainers"]
    pending = [_container(one, _waiting("PodInitializing")) for one in inits[at + 1 :]]
    statuses = [*_finished(inits[:at]), _container(inits[at], state, crash, restarts), *pending]
    containers = [_container(one, _waiting("PodInitializing")) for one in pod["spec"]["containers"]]
    return _status("Pending", containers, statuses, initialized=False)


def _finished(inits: Sequence[Pod]) -> list[Status]:
    return [_container(one, {"terminated": {"exitCode": 0, "reason": "Completed"}}, ready=True) for one in inits]


def _waiting(reason: str, message: str = "") -> State:
    return {"waiting": {"reason": reason, **({"message": message} if message else {})}}


def _container(
    spec: Pod, state: State, crash: str | None = None, restarts: int = 0, *, ready: bool = False, started: bool = False
) -> Status:
    status = {
        "name": spec["name"],
        "image": spec["image"],
        "imageID": "",
        "ready": ready,
        "started": started,
        "restartCount": restarts,
        "state": state,
    }
    if crash is not None:
        status["lastState"] = {"terminated": {"exitCode": 1, "reason": "Error", "message": crash}}
    return status


def _status(phase: str, containers: list[Status], inits: list[Status], *, initialized: bool = True) -> Status:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    unready = {"status": "False", "reason": "ContainersNotReady", "lastTransitionTime": now}
    conditions = [
        {"type": "Initialized", "status": "True" if initialized else "False", "lastTransitionTime": now},
        {"type": "Ready", **unready},
        {"type": "ContainersReady", **unready},
    ]
    return {"phase": phase, "conditions": conditions, "containerStatuses": containers, "initContainerStatuses": inits}
