"""Snapshots: what the MeshConfig was before an attempt changed it, and what the attempt made of it.

Kept in a Secret that the MeshUpgrade owns and that history names before the MeshConfig is written. Its name follows
from the attempt, so that a run after a crash finds it, and never takes what was patched already for what was before.
"""

import base64
import gzip
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from meshupgrade.api.v1alpha1.conditions import Reason
from meshupgrade.api.v1alpha1.names import SNAPSHOT_OF
from meshupgrade.domain.merge import same
from meshupgrade.domain.three_way import merge_defaults
from meshupgrade.kube.client import ObjectRef
from meshupgrade.phases.shape import PhaseFailed, SnapshotPlace, Work

__all__ = ["Snapshot", "keep_snapshot", "read_snapshot", "undone"]

KEY = "mesh-config.json.gz"

_TYPE = {"apiVersion": "v1", "kind": "Secret"}

Spec = Mapping[str, Any]


@dataclass(frozen=True)
class Snapshot:
    """The spec of the MeshConfig on both sides of an attempt."""

    before: Spec
    after: Spec


async def keep_snapshot(work: Work, place: SnapshotPlace, before: Spec, after: Spec) -> None:
    """Write the snapshot, read it back, have history name it, and remove those that history does not name.

    For the same attempt twice, after a crash or a conflict, what was before it stays, but for what people changed
    since. Raises PhaseFailed when it does not read as it was written.
    """
    known = await read_snapshot(work, place.name)
    if known is not None:
        before = merge_defaults(known.after, before, known.before).result
    wanted = Snapshot(before, after)
    if known is None or not _equal(known, wanted):
        await work.tools.kube.apply(_secret(work, place, wanted))
        kept = await read_snapshot(work, place.name)
        if kept is None or not _equal(kept, wanted):
            raise PhaseFailed(
                Reason.API_REJECTED, f"Secret {place.name} does not keep the MeshConfig of before as it was written"
            )
    await place.record(place.name)
    await _prune(work, {place.name, *place.kept})


async def read_snapshot(work: Work, name: str) -> Snapshot | None:
    """Give a snapshot; None when it is not there, or not readable."""
    secret = await work.tools.kube.find(ObjectRef("v1", "Secret", name, work.namespace))
    try:
        content = json.loads(gzip.decompress(base64.b64decode(secret["data"][KEY]))) if secret is not None else None
        return Snapshot(content["before"], content["after"]) if content is not None else None
    except (LookupError, TypeError, ValueError, OSError, EOFError, zlib.error):
        return None


async def undone(work: Work, names: Sequence[str]) -> tuple[Snapshot | None, list[str]]:
    """Give what all these attempts, the newest first, made of the MeshConfig, and what it was before them.

    What people changed between two attempts is in both. Gives None when there is no snapshot to go by, and the names of
    those that are lost.
    """
    found: Snapshot | None = None
    lost: list[str] = []
    for name in names:
        one = await read_snapshot(work, name)
        if one is None:
            lost.append(name)
        elif found is None:
            found = one
        else:
            found = Snapshot(merge_defaults(one.after, found.before, one.before).result, found.after)
    return found, lost


def _equal(one: Snapshot, other: Snapshot) -> bool:
    return same(one.before, other.before) and same(one.after, other.after)


def _secret(work: Work, place: SnapshotPlace, snapshot: Snapshot) -> dict[str, Any]:
    owner = place.owner
    text = json.dumps({"before": snapshot.before, "after": snapshot.after}, sort_keys=True)
    reference = {"apiVersion": owner.api_version, "kind": owner.kind, "name": owner.name, "uid": work.uid}
    return {
        **_TYPE,
        "metadata": {
            "name": place.name,
            "namespace": work.namespace,
            "labels": {SNAPSHOT_OF: work.uid},
            "ownerReferences": [reference],
        },
        "type": "meshupgrade.io/mesh-config-snapshot",
        "data": {KEY: base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()},
    }


async def _prune(work: Work, kept: set[str]) -> None:
    kube = work.tools.kube
    async for secret in kube.list_objects(
        "v1", "Secret", work.namespace, labels=f"{SNAPSHOT_OF}={work.uid}", metadata_only=True
    ):
        if secret["metadata"]["name"] not in kept:
            await kube.delete(ObjectRef.of(secret | _TYPE), uid=secret["metadata"]["uid"])
