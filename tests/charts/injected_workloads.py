"""Workloads of the mesh that leave it to the injector to give their Pods a sidecar, one for each way to be replaced."""

import uuid
from collections.abc import Collection, Sequence
from enum import StrEnum
from typing import Any

from tests.charts.crds import Manifest
from tests.charts.workloads import NAMESPACES, mesh_namespace
from tests.cluster.kwok import RUNS_ON_ANNOTATION

__all__ = ["Kind", "disruption_budget", "injected_workloads"]

ON_DELETE = {"type": "OnDelete"}
PARTITION = 1
RESTART = "meshupgrade.io/restart"


class Kind(StrEnum):
    """What can be asked for. The value is the name of the one object of that kind; Deployments get a number too."""

    DEPLOYMENT = "deployment"
    OPTED_OUT = "opted-out"
    """A Deployment with the annotation that keeps the operator from restarting it."""

    STATEFUL_SET = "stateful"
    PARTITIONED = "partitioned"
    """A StatefulSet with partition 1: of a change of its template, Pod 0 stays as it is."""

    STATEFUL_SET_ON_DELETE = "stateful-on-delete"
    DAEMON_SET = "daemon"
    DAEMON_SET_ON_DELETE = "daemon-on-delete"
    FINISHED_JOB = "job-finished"
    RUNNING_JOB = "job-running"
    BARE_POD = "bare"
    ROLLOUT = "rollout"
    """A ReplicaSet whose owner is of a kind that the cluster does not know."""


def injected_workloads(
    registry: str,
    mesh: str = "osm",
    *,
    kinds: Collection[Kind] = tuple(Kind),
    namespaces: Sequence[str] = NAMESPACES,
    deployments: int = 2,
    replicas: int = 2,
) -> list[Manifest]:
    """The namespaces, and the workloads of those kinds: Deployments in each namespace, all others in the first one.

    `deployments` is how many for each namespace, `replicas` how many Pods for each Deployment, StatefulSet and Rollout.
    """
    first = namespaces[0]
    many = range(1, deployments + 1) if Kind.DEPLOYMENT in kinds else ()
    made = [
        _workload(namespace, f"{Kind.DEPLOYMENT}-{number}", registry, "Deployment", replicas)
        for namespace in namespaces
        for number in many
    ]
    made += [_one(kind, first, registry, replicas) for kind in Kind if kind in kinds and kind is not Kind.DEPLOYMENT]
    return [*(mesh_namespace(name, mesh) for name in namespaces), *made]


def disruption_budget(namespace: str, name: str, **spec: Any) -> Manifest:
    """A PodDisruptionBudget for the Pods of the workload of that name; `spec` such as ``maxUnavailable=0``."""
    return _manifest(
        "policy/v1", "PodDisruptionBudget", namespace, name, {"selector": {"matchLabels": {"app": name}}, **spec}
    )


def _one(kind: Kind, namespace: str, registry: str, replicas: int) -> Manifest:
    match kind:
        case Kind.OPTED_OUT:
            found = _workload(namespace, kind.value, registry, "Deployment", replicas)
            found["metadata"]["annotations"] = {RESTART: "Never"}
        case Kind.STATEFUL_SET | Kind.PARTITIONED | Kind.STATEFUL_SET_ON_DELETE:
            found = _workload(namespace, kind.value, registry, "StatefulSet", replicas)
            found["spec"] |= {"serviceName": kind.value, **_strategy(kind)}
        case Kind.DAEMON_SET | Kind.DAEMON_SET_ON_DELETE:
            found = _workload(namespace, kind.value, registry, "DaemonSet", None)
            found["spec"] |= _strategy(kind)
        case Kind.FINISHED_JOB | Kind.RUNNING_JOB:
            found = _job(namespace, kind, registry)
        case Kind.ROLLOUT:
            found = _workload(namespace, kind.value, registry, "ReplicaSet", replicas)
            found["metadata"]["ownerReferences"] = [_rollout(namespace, kind.value)]
        case _:
            pod = _pod(kind.value, registry)
            found = _manifest("v1", "Pod", namespace, kind.value, pod["spec"])
    return found


def _strategy(kind: Kind) -> dict[str, Any]:
    if kind is Kind.PARTITIONED:
        return {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": PARTITION}}}
    on_delete = kind in (Kind.STATEFUL_SET_ON_DELETE, Kind.DAEMON_SET_ON_DELETE)
    return {"updateStrategy": ON_DELETE} if on_delete else {}


def _workload(namespace: str, name: str, registry: str, kind: str, replicas: int | None) -> Manifest:
    spec = {"selector": {"matchLabels": {"app": name}}, "template": _pod(name, registry)}
    count = {} if replicas is None else {"replicas": replicas}
    return _manifest("apps/v1", kind, namespace, name, {**count, **spec})


def _job(namespace: str, kind: Kind, registry: str) -> Manifest:
    pod = _pod(kind.value, registry)
    pod["spec"]["restartPolicy"] = "Never"
    if kind is Kind.RUNNING_JOB:
        pod["metadata"]["annotations"] = {RUNS_ON_ANNOTATION: "true"}
    return _manifest("batch/v1", "Job", namespace, kind.value, {"template": pod})


def _rollout(namespace: str, name: str) -> dict[str, Any]:
    uid = str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}.{namespace}"))
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": name, "uid": uid, "controller": True}


def _pod(name: str, registry: str) -> dict[str, Any]:
    requests = {"requests": {"cpu": "1m", "memory": "8M"}}
    containers = [{"name": "app", "image": f"{registry}/bookstore/app:1.0.0", "resources": requests}]
    return {"metadata": {"labels": {"app": name}}, "spec": {"containers": containers}}


def _manifest(api_version: str, kind: str, namespace: str, name: str, spec: dict[str, Any]) -> Manifest:
    metadata: dict[str, Any] = {"name": name, "namespace": namespace, "labels": {"app": name}}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec}
