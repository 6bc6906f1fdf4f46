"""Why a workload does not become ready: read from its Pods, their container states and their last log lines.

A timeout never says only "timed out". The causes, and what to do about them, are those of the mesh's upgrade guide,
section "Troubleshooting", and of the kubelet and scheduler.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from meshupgrade.api.v1alpha1.conditions import Reason
from meshupgrade.domain.label_selectors import label_query
from meshupgrade.kube.causes import OF_RELEASE, Advice, Cause
from meshupgrade.kube.client import Kube
from meshupgrade.kube.refused_pods import wanted_pods, why_refused

__all__ = ["cause_of_pod", "diagnose"]

Object = Mapping[str, Any]
_PULL_REASONS = {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"}
_CRASH_REASONS = {"CrashLoopBackOff", "Error", "RunContainerError", "StartError"}
_CONFIG_REASONS = {"CreateContainerConfigError", "CreateContainerError"}


def _of_release(_: Object) -> Advice:
    return OF_RELEASE


async def diagnose(
    kube: Kube, namespace: str, workloads: Sequence[Object], advice: Callable[[Object], Advice] = _of_release
) -> Cause | None:
    """Give the first cause found for workloads that are not ready, or None when nothing tells one.

    Deployments, ReplicaSets, StatefulSets and DaemonSets. Those of the first workload count first, so put the one that
    the others wait for first. ``advice`` says what to do about a workload, by whose it is.
    """
    for workload in workloads:
        if cause := await _cause_of(kube, namespace, workload, advice(workload)):
            return cause
    return None


async def _cause_of(kube: Kube, namespace: str, workload: Object, advice: Advice) -> Cause | None:
    labels = label_query(workload["spec"]["selector"])
    pods = [
        pod
        async for pod in kube.list_objects("v1", "Pod", namespace, labels=labels)
        if not pod["metadata"].get("deletionTimestamp")
    ]
    too_few = len(pods) < wanted_pods(workload)
    if too_few and (cause := await why_refused(kube, workload, pods)):
        return cause
    for pod in sorted(pods, key=lambda pod: pod["metadata"]["creationTimestamp"], reverse=True):
        logs = {name: await _log(kube, pod, name) for name in _crashed(pod)}
        if cause := cause_of_pod(pod, logs, advice):
            return cause
    # Pods of before may go on while those that are to replace them are refused.
    return None if too_few else await why_refused(kube, workload, pods)


def cause_of_pod(pod: Object, logs: Mapping[str, str], advice: Advice = OF_RELEASE) -> Cause | None:
    """Give why the Pod is not ready, given the last log lines of its containers that crashed; None when it is well."""
    name = f"Pod {pod['metadata']['name']}"
    conditions = {condition["type"]: condition for condition in pod["status"].get("conditions") or []}
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable":
        return Cause(
            Reason.INSUFFICIENT_RESOURCES,
            f"{name} cannot be scheduled: {scheduled.get('message', '')}".rstrip(".: "),
            advice.resources,
        )
    inits = {state["name"] for state in pod["status"].get("initContainerStatuses") or []}
    for state in _container_states(pod):
        told = _told(state["name"], inits, advice)
        if cause := _cause_of_container(pod, told, state, logs.get(state["name"], ""), advice):
            return cause
    if pod["status"].get("phase") == "Running" and conditions.get("Ready", {}).get("status") == "False":
        unready = [state["name"] for state in _container_states(pod) if not state.get("ready")]
        return Cause(
            Reason.PROBE_FAILING,
            f"{name} runs but is not ready: {', '.join(unready) or conditions['Ready'].get('message', '')}",
            _see_log(pod),
        )
    return None


def _cause_of_container(pod: Object, told: str, state: Object, log: str, advice: Advice) -> Cause | None:
    name = f"Pod {pod['metadata']['name']}"
    waiting = state.get("state", {}).get("waiting", {})
    reason = waiting.get("reason", "")
    if reason in _PULL_REASONS:
        return Cause(
            Reason.IMAGE_PULL,
            f"{name}: the image {state['image']} of {told} cannot be pulled "
            f"({reason}: {waiting.get('message', '')})".replace(": )", ")"),
            advice.about_image(state["name"]),
        )
    if reason in _CONFIG_REASONS:
        return Cause(
            Reason.CRASH_LOOP,
            f"{name}: {told} cannot be made ({reason}: {waiting.get('message', '')})",
            "Create what the message names",
        )
    if "FatalInvalidCLIParameters" in log:
        return Cause(
            Reason.INVALID_CLI_PARAMETERS,
            f"{name}: {told} refuses its command line: {_last_line(log, 'FatalInvalidCLIParameters')}",
            "The control plane image and the chart are of different versions: set the image registry and tag in "
            "spec.values to those of the chart, or leave them out",
        )
    if reason in _CRASH_REASONS or state.get("state", {}).get("terminated", {}).get("exitCode"):
        said = f"; it last said: {_last_line(log)}" if log.strip() else ""
        return Cause(
            Reason.CRASH_LOOP,
            f"{name}: {told} crashes ({reason or 'Error'}, {state.get('restartCount', 0)} restarts){said}",
            _see_log(pod, state["name"]),
        )
    return None


def _told(container: str, inits: Collection[str], advice: Advice) -> str:
    """Give a container in words, by what it is."""
    if container in inits:
        return f"init container {container}"
    return f"sidecar container {container}" if container in advice.sidecars else f"container {container}"


def _see_log(pod: Object, container: str = "") -> str:
    metadata = pod["metadata"]
    which = f" -c {container}" if container else ""
    return f"Look at its log: kubectl logs -n {metadata['namespace']} {metadata['name']}{which}"


def _container_states(pod: Object) -> list[Object]:
    status = pod["status"]
    return [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]


def _crashed(pod: Object) -> list[str]:
    return [state["name"] for state in _container_states(pod) if state.get("restartCount") or _ended_badly(state)]


def _ended_badly(state: Object) -> bool:
    return bool(state.get("state", {}).get("terminated", {}).get("exitCode"))


def _last_line(log: str, word: str = "") -> str:
    lines = [line for line in log.splitlines() if line.strip() and word in line]
    return lines[-1][:500] if lines else ""


async def _log(kube: Kube, pod: Object, container: str) -> str:
    metadata = pod["metadata"]
    log = await kube.pod_log(metadata["namespace"], metadata["name"], container, previous=True)
    return log or await kube.pod_log(metadata["namespace"], metadata["name"], container)
