"""What is held off while CRDs change carries a record: what to restore, and for whom."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from meshupgrade.api.v1alpha1.names import API_VERSION, FINALIZER, HELD, HELD_RECORD, KIND
from meshupgrade.kube.client import Kube
from meshupgrade.phases.shape import Work

__all__ = ["HELD_VALUE", "Record", "held_metadata", "is_orphan", "read_record", "released_metadata"]

HELD_VALUE = "held-by-meshupgrade"
"""The value of a reconcile label while its CRD changes: no reconciler looks for it."""


@dataclass(frozen=True)
class Record:
    """What was there before, of a bootstrap Deployment or of a CRD's reconcile label."""

    uid: str
    """Of the MeshUpgrade that holds it."""

    namespace: str
    generation: int
    replicas: int = 0
    owners: tuple[Mapping[str, str], ...] = ()
    """Who owned spec.replicas."""

    labels: Mapping[str, str] = field(default_factory=dict)
    """The reconcile labels, as they were."""

    @classmethod
    def of(cls, work: Work, **fields: Any) -> "Record":
        """Give a record for the MeshUpgrade of a run."""
        return cls(work.uid, work.namespace, work.generation, **fields)


def held_metadata(record: Record) -> dict[str, Any]:
    """Give the labels and annotations that say so."""
    return {"labels": {HELD: record.uid}, "annotations": {HELD_RECORD: json.dumps(asdict(record), sort_keys=True)}}


def released_metadata() -> dict[str, Any]:
    """Give the merge patch of metadata that takes them away."""
    return {"labels": {HELD: None}, "annotations": {HELD_RECORD: None}}


def read_record(obj: Mapping[str, Any]) -> Record | None:
    """Give the record of an object, or None for one that is not held.

    One that nobody can read still names its owner; a bootstrap then gets the one replica that the charts give it.
    """
    metadata = obj["metadata"]
    uid = (metadata.get("labels") or {}).get(HELD)
    if not uid:
        return None
    try:
        fields = json.loads((metadata.get("annotations") or {}).get(HELD_RECORD, ""))
        return Record(**{**fields, "uid": uid, "owners": tuple(fields["owners"])})
    except (ValueError, TypeError, KeyError):
        return Record(uid, "", 0, replicas=1)


async def is_orphan(kube: Kube, record: Record) -> bool:
    """Tell whether the MeshUpgrade of a record is gone, or at rest, so that nobody else will restore it."""
    if not record.namespace:
        return True
    async for obj in kube.list_objects(API_VERSION, KIND, record.namespace, metadata_only=True):
        if obj["metadata"]["uid"] == record.uid:
            return FINALIZER not in (obj["metadata"].get("finalizers") or [])
    return True
