"""The write of a MeshConfig: only what changes, guarded against what was not seen, and after its snapshot."""

from collections.abc import Mapping
from typing import Any

from meshupgrade.domain.merge import same
from meshupgrade.domain.three_way import patch_between
from meshupgrade.kube.client import ObjectRef
from meshupgrade.kube.errors import Conflict
from meshupgrade.phases.mesh_config.planned import Planned, planned_now
from meshupgrade.phases.mesh_config.snapshots import keep_snapshot
from meshupgrade.phases.shape import Work

__all__ = ["patch_of", "write_mesh_config"]

TRIES = 5


async def write_mesh_config(work: Work, *, with_spec: bool = True) -> tuple[Planned, bool] | None:
    """Bring the MeshConfig to what is planned; give that, and whether it was written. None when it is not there.

    Somebody who writes at the same time is not overwritten: it is read, and planned, again. What the schema has no
    fields for is not written. Raises Conflict when that does not end, and the errors of kube.
    """
    for attempt in range(TRIES):
        planned = await planned_now(work, with_spec=with_spec)
        if planned is None:
            return None
        patch = patch_of(planned)
        if not patch or planned.unknown:
            return planned, False
        try:
            return planned, await _write(work, planned, patch)
        except Conflict:
            if attempt == TRIES - 1:
                raise
    raise AssertionError("the last try returns or raises")


def patch_of(planned: Planned) -> dict[str, Any]:
    """Give the merge patch on the spec that brings the MeshConfig to what is planned; empty when it fits already."""
    return patch_between(planned.before, planned.spec)


async def _write(work: Work, planned: Planned, patch: Mapping[str, Any]) -> bool:
    assert planned.live is not None
    kube, ref, metadata = work.tools.kube, ObjectRef.of(planned.live), planned.live["metadata"]
    body = {"metadata": {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}, "spec": patch}
    if work.snapshot is not None:
        before = planned.live.get("spec") or {}
        after = (await kube.merge_patch(ref, body, dry_run=True)).get("spec") or {}
        if same(before, after):
            return False
        await keep_snapshot(work, work.snapshot, before, after)
    written = await kube.merge_patch(ref, body)
    return bool(written["metadata"]["resourceVersion"] != metadata["resourceVersion"])
