"""What of a Pod is kept: a small record, so that the page that it came in can go."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from sys import intern
from typing import Any

from meshupgrade.api.v1alpha1.names import RESTARTED_FOR
from meshupgrade.distributions import Distribution
from meshupgrade.domain.injection import annotation_says, injection_asked
from meshupgrade.domain.sidecars import PodSidecar, sidecar_of
from meshupgrade.kube.client import ObjectRef

__all__ = ["TEMPLATE_HASH", "Owner", "PodRecord", "asks_for_injection", "controller_of", "record_of"]

FINISHED = ("Succeeded", "Failed")
TEMPLATE_HASH = "pod-template-hash"
"""The label that a Deployment gives to its ReplicaSets, and these to their Pods."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The controller of an object."""

    api_version: str
    kind: str
    name: str
    uid: str

    def workload(self, namespace: str) -> ObjectRef | None:
        """Give the reference to it when it is a kind of workload that replaces its Pods; None for any other."""
        if self.api_version.startswith("apps/") and self.kind in ("Deployment", "StatefulSet", "DaemonSet"):
            return ObjectRef("apps/v1", self.kind, self.name, namespace)
        return None

    @property
    def is_replica_set(self) -> bool:
        """Whether it is one of Kubernetes' own ReplicaSets."""
        return self.api_version.startswith("apps/") and self.kind == "ReplicaSet"


@dataclass(frozen=True, slots=True)
class PodRecord:
    """One Pod that is not finished, and that has a sidecar or should have one."""

    namespace: str
    name: str
    uid: str
    created: datetime
    ready: bool
    restarted_for: str
    template_hash: str
    """The label that the Pods of a Deployment have from their ReplicaSet, empty without one."""

    owner: Owner | None
    sidecar: PodSidecar | None
    """None when it has none."""

    @property
    def is_uninjected(self) -> bool:
        """Whether it never had a sidecar; one that we restarted and that has none has lost it."""
        return self.sidecar is None and not self.restarted_for


def record_of(pod: Mapping[str, Any], facts: Distribution, *, asked: bool) -> PodRecord | None:
    """Give the record of a live Pod, None when it does not count.

    Those that are finished or being deleted do not, nor those without a sidecar for which nobody asks for one.
    ``asked`` is what the namespace says of that.
    """
    metadata, status = pod["metadata"], pod.get("status") or {}
    if status.get("phase") in FINISHED or metadata.get("deletionTimestamp"):
        return None
    sidecar = sidecar_of(pod, facts.sidecar)
    if sidecar is None and not injection_asked(pod, facts.sidecar.injection_annotation, by_namespace=asked):
        return None
    return PodRecord(
        namespace=intern(metadata["namespace"]),
        name=metadata["name"],
        uid=metadata["uid"],
        created=datetime.fromisoformat(metadata["creationTimestamp"]),
        ready=any(one["type"] == "Ready" and one["status"] == "True" for one in status.get("conditions") or []),
        restarted_for=intern((metadata.get("annotations") or {}).get(RESTARTED_FOR, "")),
        template_hash=(metadata.get("labels") or {}).get(TEMPLATE_HASH, ""),
        owner=controller_of(metadata),
        sidecar=sidecar,
    )


def asks_for_injection(namespace: Mapping[str, Any], facts: Distribution, mesh_namespace: str) -> bool:
    """Tell by the metadata of a namespace of the mesh whether its Pods get a sidecar; the mesh's own get none."""
    if namespace["name"] == mesh_namespace:
        return False
    return annotation_says((namespace.get("annotations") or {}).get(facts.sidecar.injection_annotation)) is True


def controller_of(metadata: Mapping[str, Any]) -> Owner | None:
    """Give the controller of an object; None without one."""
    for owner in metadata.get("ownerReferences") or []:
        if owner.get("controller"):
            return Owner(owner["apiVersion"], owner["kind"], owner["name"], owner["uid"])
    return None
