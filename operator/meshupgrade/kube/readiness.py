"""Whether the workloads of a release are ready.

Source of the rule: kubectl rollout status (k8s.io/kubectl/pkg/polymorphichelpers/rollout_status.go): the controller has
seen the newest generation, and all replicas are updated and available.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from meshupgrade.kube.client import Kube, ObjectRef

__all__ = ["Readiness", "is_ready", "observe_readiness", "workload_refs"]

Object = Mapping[str, Any]
KINDS = ("Deployment", "StatefulSet", "DaemonSet")


@dataclass(frozen=True)
class Readiness:
    """Which of the workloads are ready; a missing one is not."""

    total: int
    unready: tuple[Object, ...]
    missing: tuple[str, ...]

    @property
    def ready(self) -> bool:
        """Tell whether all are."""
        return not self.unready and not self.missing

    def summary(self) -> str:
        """Give it in words: how many are ready, and which are not."""
        waiting = [*self.missing, *(workload["metadata"]["name"] for workload in self.unready)]
        text = f"{self.total - len(waiting)} of {self.total} workloads ready"
        return f"{text}, waiting for {', '.join(waiting)}" if waiting else text


def workload_refs(objects: Sequence[Object], namespace: str) -> list[ObjectRef]:
    """Give the Deployments, StatefulSets and DaemonSets in a manifest."""
    return [ObjectRef.of(obj, namespace) for obj in objects if obj["kind"] in KINDS]


def is_ready(workload: Object) -> bool:
    """Tell whether a workload runs what its spec says, in full."""
    status = workload.get("status") or {}
    if status.get("observedGeneration", 0) < workload["metadata"].get("generation", 0):
        return False
    if workload["kind"] == "DaemonSet":
        wanted = status.get("desiredNumberScheduled", 0)
        counts = (status.get("updatedNumberScheduled", 0), status.get("numberAvailable", 0))
    else:
        wanted = workload["spec"].get("replicas", 1)
        counts = tuple(status.get(name, 0) for name in ("updatedReplicas", "replicas", "availableReplicas"))
    return all(count == wanted for count in counts)


async def observe_readiness(kube: Kube, refs: Sequence[ObjectRef]) -> Readiness:
    """Look at the workloads, in one request for each kind and namespace."""
    live: dict[ObjectRef, Object] = {}
    for api_version, kind, namespace in sorted({(ref.api_version, ref.kind, ref.namespace or "") for ref in refs}):
        async for workload in kube.list_objects(api_version, kind, namespace):
            live[ObjectRef.of(workload)] = workload
    found = [(ref, live.get(ref)) for ref in refs]
    return Readiness(
        total=len(refs),
        unready=tuple(workload for _, workload in found if workload is not None and not is_ready(workload)),
        missing=tuple(ref.name for ref, workload in found if workload is None),
    )
