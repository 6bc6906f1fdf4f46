"""MeshUpgrade objects as the engine sees them: which mesh they speak of, which one counts, what changed."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from meshupgrade.api.v1alpha1.names import APPROVED_PLAN, FINALIZER, RECONCILE_REQUESTED_AT, ROLLBACK_REQUESTED
from meshupgrade.api.v1alpha1.plan import Plan
from meshupgrade.api.v1alpha1.spec import Approval, DistributionName, MeshUpgradeSpec
from meshupgrade.distributions import load_distribution
from meshupgrade.engine.queue import MeshKey

__all__ = [
    "approved_digest",
    "fingerprint",
    "has_finalizer",
    "is_approved",
    "is_deleting",
    "mesh_key",
    "oldest_first",
    "requested_at",
    "rollback_requested",
    "spec_errors",
]

Object = Mapping[str, Any]


def mesh_key(obj: Object) -> MeshKey | None:
    """Give the mesh that a MeshUpgrade speaks of, or None for one that the CRD would not have let in."""
    mesh = (obj.get("spec") or {}).get("mesh") or {}
    name = mesh.get("name")
    if not name:
        if mesh.get("distribution") not in set(DistributionName):
            return None
        name = load_distribution(DistributionName(mesh["distribution"])).mesh_name
    return MeshKey(obj["metadata"]["namespace"], str(name))


def fingerprint(obj: Object) -> tuple[Any, ...]:
    """Give what a run depends on, so that the operator's own writes of status do not start one."""
    metadata = obj["metadata"]
    return (
        metadata["uid"],
        metadata.get("generation"),
        metadata.get("deletionTimestamp"),
        requested_at(obj),
        approved_digest(obj),
        rollback_requested(obj),
    )


def requested_at(obj: Object) -> str | None:
    """Give the value of the annotation that asks for a fresh run."""
    value = (obj["metadata"].get("annotations") or {}).get(RECONCILE_REQUESTED_AT)
    return str(value)[:128] if value else None


def approved_digest(obj: Object) -> str:
    """Give the digest in the annotation that approves a plan, empty without one."""
    return str((obj["metadata"].get("annotations") or {}).get(APPROVED_PLAN) or "").strip()


def rollback_requested(obj: Object) -> str:
    """Give the revision in the annotation that asks for a rollback, empty without one."""
    return str((obj["metadata"].get("annotations") or {}).get(ROLLBACK_REQUESTED) or "").strip()[:128]


def is_approved(obj: Object, spec: MeshUpgradeSpec, plan: Plan) -> bool:
    """Tell whether that very plan may be carried out."""
    return spec.upgrade.approval is Approval.AUTOMATIC or approved_digest(obj) == plan.digest


def is_deleting(obj: Object) -> bool:
    """Tell whether the object is being deleted."""
    return bool(obj["metadata"].get("deletionTimestamp"))


def has_finalizer(obj: Object) -> bool:
    """Tell whether our finalizer is set."""
    return FINALIZER in (obj["metadata"].get("finalizers") or [])


def oldest_first(objects: Sequence[Object]) -> list[Object]:
    """Give the objects in the order of their age; of several for one mesh, the oldest counts."""
    return sorted(objects, key=lambda obj: (obj["metadata"]["creationTimestamp"], obj["metadata"]["uid"]))


def spec_errors(error: ValidationError) -> str:
    """Give pydantic's errors in words that name the field as it stands in the manifest."""
    parts = []
    for item in error.errors(include_url=False)[:5]:
        path = ".".join(["spec", *(str(part) for part in item["loc"])])
        parts.append(f"{path}: {item['msg']}")
    return "; ".join(parts)
