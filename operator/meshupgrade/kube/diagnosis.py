"""Why a workload does not become ready: read from its Pods, their container states and their last log lines.

A timeout never says only "timed out". The causes, and what to do about them, are those of the mesh's upgrade guide,
section "Troubleshooting", and of the kubelet and scheduler.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from meshupgrade.api.v1alpha1.conditions import Reason
from meshupgrade.kube.client import Kube

__all__ = ["Cause", "cause_of_pod", "diagnose"]

Object = Mapping[str, Any]
_PULL_REASONS = {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"}
_CRASH_REASONS = {"CrashLoopBackOff", "Error", "RunContainerError", "StartError"}
_CONFIG_REASONS = {"CreateContainerConfigError", "CreateContainerError"}


@dataclass(frozen=True)
class Cause:
    """Why a Pod is not ready, and what to do."""

    reason: Reason
    message: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.message}. {self.remedy}"


async def diagnose(kube: Kube, namespace: str, workloads: Sequence[Object]) -> Cause | None:
    """Give the first cause found for Deployments that are not ready, or None when their Pods tell none.

    The Pods of the first workload count first, so put the one that the others wait for first.
    """
    for workload in workloads:
        selector = workload["spec"]["selector"].get("matchLabels") or {}
        labels = ",".join(f"{key}={value}" for key, value in selector.items())
        pods = [pod async for pod in kube.list_objects("v1", "Pod", namespace, labels=labels)]
        if not pods and (cause := _cause_of_workload(workload)):
            return cause
        for pod in sorted(pods, key=lambda pod: pod["metadata"]["creationTimestamp"], reverse=True):
            logs = {name: await _log(kube, pod, name) for name in _crashed(pod)}
            if cause := cause_of_pod(pod, logs):
                return cause
    return None


def cause_of_pod(pod: Object, logs: Mapping[str, str]) -> Cause | None:
    """Give why the Pod is not ready, given the last log lines of its containers that crashed; None when it is well."""
    name = f"Pod {pod['metadata']['name']}"
    conditions = {condition["type"]: condition for condition in pod["status"].get("conditions") or []}
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable":
        return Cause(
            Reason.INSUFFICIENT_RESOURCES,
            f"{name} cannot be scheduled: {scheduled.get('message', '')}".rstrip(".: "),
            "Add nodes or free resources, or lower the requests in spec.values",
        )
    for state in _container_states(pod):
        if cause := _cause_of_container(name, state, logs):
            return cause
    if pod["status"].get("phase") == "Running" and conditions.get("Ready", {}).get("status") == "False":
        unready = [state["name"] for state in _container_states(pod) if not state.get("ready")]
        return Cause(
            Reason.PROBE_FAILING,
            f"{name} runs but is not ready: {', '.join(unready) or conditions['Ready'].get('message', '')}",
            f"Look at its log: kubectl logs -n {pod['metadata']['namespace']} {pod['metadata']['name']}",
        )
    return None


def _cause_of_container(pod: str, state: Object, logs: Mapping[str, str]) -> Cause | None:
    waiting = state.get("state", {}).get("waiting", {})
    reason = waiting.get("reason", "")
    if reason in _PULL_REASONS:
        return Cause(
            Reason.IMAGE_PULL,
            f"{pod}: the image {state['image']} of container {state['name']} cannot be pulled "
            f"({reason}: {waiting.get('message', '')})".replace(": )", ")"),
            "Set the registry and the tag in spec.values to an image that exists, or fix imagePullSecrets",
        )
    if reason in _CONFIG_REASONS:
        return Cause(
            Reason.CRASH_LOOP,
            f"{pod}: container {state['name']} cannot be made ({reason}: {waiting.get('message', '')})",
            "Create what the message names",
        )
    log = logs.get(state["name"], "")
    if "FatalInvalidCLIParameters" in log:
        return Cause(
            Reason.INVALID_CLI_PARAMETERS,
            f"{pod}: container {state['name']} refuses its command line: "
            f"{_last_line(log, 'FatalInvalidCLIParameters')}",
            "The control plane image and the chart are of different versions: set the image registry and tag in "
            "spec.values to those of the chart, or leave them out",
        )
    if reason in _CRASH_REASONS or state.get("state", {}).get("terminated", {}).get("exitCode"):
        said = f"; it last said: {_last_line(log)}" if log.strip() else ""
        return Cause(
            Reason.CRASH_LOOP,
            f"{pod}: container {state['name']} crashes ({reason or 'Error'}, {state.get('restartCount', 0)} restarts)"
            f"{said}",
            "Look at its log for the cause",
        )
    return None


def _cause_of_workload(workload: Object) -> Cause | None:
    for condition in workload.get("status", {}).get("conditions") or []:
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            message = condition.get("message", "")
            reason = Reason.QUOTA if "quota" in message else Reason.API_REJECTED
            remedy = "Raise the quota of the namespace" if reason is Reason.QUOTA else "Fix what refuses its Pods"
            return Cause(reason, f"{workload['metadata']['name']} cannot make Pods: {message}", remedy)
    return None


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
