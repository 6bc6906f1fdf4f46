"""Lifting the fence: what was held off is restored, on every way out, and by whoever comes first after a crash."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from meshupgrade.api.v1alpha1.names import FENCE_MANAGER, HELD
from meshupgrade.domain.managed_fields import owners, with_owner, without_manager
from meshupgrade.kube.client import Kube, ObjectRef
from meshupgrade.kube.errors import Conflict
from meshupgrade.phases.crds.record import HELD_VALUE, Record, is_orphan, read_record, released_metadata
from meshupgrade.phases.shape import Work

__all__ = ["REPLICAS", "lift", "lift_bootstrap", "lift_orphans", "restore"]

logger = logging.getLogger(__name__)

REPLICAS = ("spec", "replicas")
KINDS = (("apps/v1", "Deployment"), ("apiextensions.k8s.io/v1", "CustomResourceDefinition"))


async def lift(kube: Kube, uid: str) -> None:
    """Restore everything that is held off for that MeshUpgrade; twice is as good as once."""
    await asyncio.gather(*(restore(kube, ref, uid) for ref, _ in await _held(kube, f"{HELD}={uid}")))


async def lift_bootstrap(work: Work) -> None:
    """Restore the bootstrap of our own mesh, now that Helm has decided about it, or will not run at all."""
    if work.fenced:
        name = work.distribution.bootstrap.deployment
        await restore(work.tools.kube, ObjectRef("apps/v1", "Deployment", name, work.namespace), work.uid)


async def lift_orphans(kube: Kube) -> None:
    """Restore what is held off for a MeshUpgrade that is gone or at rest: nobody else would."""
    records = {record.uid: record for _, record in await _held(kube, HELD)}
    for record in records.values():
        if await is_orphan(kube, record):
            logger.info("what was held off for MeshUpgrade %s, which is gone or at rest, is restored", record.uid)
            await lift(kube, record.uid)


async def _held(kube: Kube, selector: str) -> list[tuple[ObjectRef, Record]]:
    async def found(api_version: str, kind: str) -> list[tuple[ObjectRef, Record]]:
        listed = kube.list_objects(api_version, kind, labels=selector, metadata_only=True)
        return [(ObjectRef.of(obj), record) async for obj in listed if (record := read_record(obj))]

    several = await asyncio.gather(*(found(*kind) for kind in KINDS))
    return [one for listed in several for one in listed]


async def restore(kube: Kube, ref: ObjectRef, uid: str) -> None:
    """Restore one object that is held off for that MeshUpgrade; any other is left alone."""
    while True:
        live = await kube.find(ref)
        record = read_record(live) if live is not None else None
        if live is None or record is None or record.uid != uid:
            return
        try:
            if ref.kind == "Deployment":
                await _restore_bootstrap(kube, ref, live, record)
            else:
                await _restore_labels(kube, ref, live, record)
            return
        except Conflict:
            continue


async def _restore_bootstrap(kube: Kube, ref: ObjectRef, live: Mapping[str, Any], record: Record) -> None:
    """Give it the replicas that it had, unless somebody, Helm above all, has decided about them since."""
    managed = without_manager(live["metadata"]["managedFields"], FENCE_MANAGER)
    if not owners(managed, REPLICAS):
        if live["spec"].get("replicas") == 0 and record.replicas:
            patch = {"metadata": _version(live), "spec": {"replicas": record.replicas}}
            live = await kube.merge_patch(ref, patch, manager=FENCE_MANAGER)
            managed = without_manager(live["metadata"]["managedFields"], FENCE_MANAGER)
        for owner in record.owners:
            managed = with_owner(managed, owner, REPLICAS)
    metadata = {**released_metadata(), **_version(live), "managedFields": managed}
    await kube.merge_patch(ref, {"metadata": metadata}, manager=FENCE_MANAGER)


async def _restore_labels(kube: Kube, ref: ObjectRef, live: Mapping[str, Any], record: Record) -> None:
    """Give the reconcilers back what they watched, unless a bootstrap has set the label anew since."""
    labels = live["metadata"].get("labels") or {}
    restored = {key: value for key, value in record.labels.items() if labels.get(key) == HELD_VALUE}
    released = released_metadata()
    metadata = {**released, **_version(live), "labels": {**released["labels"], **restored}}
    await kube.merge_patch(ref, {"metadata": metadata}, manager=FENCE_MANAGER)


def _version(live: Mapping[str, Any]) -> dict[str, Any]:
    """Give what guards a write against changes that were not seen."""
    return {"resourceVersion": live["metadata"]["resourceVersion"]}
