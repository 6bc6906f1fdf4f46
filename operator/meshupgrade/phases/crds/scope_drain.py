"""Deleting the objects of a CRD that changes its scope: none but exactly what is in the export.

Each object is deleted as it was exported, or not at all (a precondition on uid and resourceVersion), and what changed
or came since is exported first. Its dependents are let live: the garbage collector frees them before it goes.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from meshupgrade.api.v1alpha1.findings import FindingName
from meshupgrade.domain.scope import NAMESPACED, Mark, ScopeChange, collisions, foreign_finalizers, mark_of, unchanged
from meshupgrade.kube.client import ObjectRef
from meshupgrade.kube.errors import Conflict
from meshupgrade.phases.crds.export import Export, Exports
from meshupgrade.phases.crds.parallel import for_each
from meshupgrade.phases.crds.told import counted, some
from meshupgrade.phases.shape import PhaseFailed, Work

__all__ = ["drain", "marks", "refuse_what_cannot_go"]

Object = Mapping[str, Any]

BATCH = 100

RELEASE_TIMEOUT = 180.0
"""Seconds without an object going that the garbage collector may take; it looks for new kinds every 30."""

PAUSE = 0.2


async def marks(exports: Exports, export: Export) -> dict[str, Mark]:
    """Give what was exported, by uid; of an object that is in the export twice the later one."""
    return {obj["metadata"]["uid"]: mark_of(obj) async for obj in exports.objects(export)}


async def drain(
    work: Work, exports: Exports, change: ScopeChange, export: Export, deleted: set[str], guard: Callable[[], None]
) -> Export:
    """Delete every object, and give the export with what was added to it.

    ``deleted`` are the uids in the exports of all CRDs that change: owners that the garbage collector takes out.
    ``guard`` is called before each deletion. Raises PhaseFailed when something is in the way, ExportBroken, what the
    guard raises, and the errors of kube.
    """
    known = await marks(exports, export)
    last, left = time.monotonic(), -1
    while True:
        present = 0
        async for batch in _batches(work, change):
            present += len(batch)
            refuse_what_cannot_go(change, batch)
            export = await _export_news(exports, change, export, known, batch, deleted)
            await _delete(work, [obj for obj in batch if "deletionTimestamp" not in obj["metadata"]], guard)
        if not present:
            return export
        if present != left:
            last, left = time.monotonic(), present
        elif time.monotonic() - last > RELEASE_TIMEOUT:
            raise PhaseFailed(
                FindingName.SCOPE_CHANGE_BLOCKED,
                f"the garbage collector has let none of {present} objects of CRD {change.name} go for "
                f"{RELEASE_TIMEOUT:.0f} s; see whether the kube-controller-manager runs",
            )
        await work.report(f"waiting until {present} exported objects of CRD {change.name} are gone")
        await asyncio.sleep(min(PAUSE + (time.monotonic() - last) / 10, 2.0))


def refuse_what_cannot_go(change: ScopeChange, objects: Sequence[Object]) -> None:
    """Raise PhaseFailed for objects that somebody else's finalizer would hold up."""
    held = [_told(obj) for obj in objects if foreign_finalizers(obj["metadata"], ours=True)]
    if held:
        raise PhaseFailed(
            FindingName.SCOPE_CHANGE_BLOCKED,
            f"{counted(held)} of CRD {change.name} with finalizers could not be deleted: {some(held)}",
        )


async def _export_news(
    exports: Exports, change: ScopeChange, export: Export, known: dict[str, Mark], batch: Sequence[Object],
    deleted: set[str],
) -> Export:  # fmt: skip
    """Add what is not in the export as it now is, before it is deleted."""
    news = [
        obj
        for obj in batch
        if "deletionTimestamp" not in obj["metadata"] and not unchanged(known.get(obj["metadata"]["uid"]), obj, deleted)
    ]
    if not news:
        return export
    if change.after != NAMESPACED:
        await _refuse_collisions(exports, change, export, news)
    export = await exports.append(export, _each(news))
    known |= {obj["metadata"]["uid"]: mark_of(obj) for obj in news}
    return export


async def _refuse_collisions(exports: Exports, change: ScopeChange, export: Export, news: Sequence[Object]) -> None:
    keys = {_key(obj) async for obj in exports.objects(export)} | {_key(obj) for obj in news}
    if same := collisions(keys):
        raise PhaseFailed(
            FindingName.SCOPE_CHANGE_BLOCKED,
            f"objects of CRD {change.name} came that have the same name in another namespace: {some(list(same))}",
        )


async def _delete(work: Work, objects: Sequence[Object], guard: Callable[[], None]) -> None:
    async def delete(obj: Object) -> None:
        metadata = obj["metadata"]
        guard()
        # Changed since it was read: looked at again in the next round.
        with contextlib.suppress(Conflict):
            await work.tools.kube.delete(
                ObjectRef.of(obj),
                uid=metadata["uid"],
                resource_version=metadata["resourceVersion"],
                propagation="Orphan",
            )

    await for_each(objects, delete)


async def _batches(work: Work, change: ScopeChange) -> AsyncIterator[list[Object]]:
    batch: list[Object] = []
    async for obj in work.tools.kube.list_objects(change.api_version, change.kind):
        batch.append(obj)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


async def _each(objects: Sequence[Object]) -> AsyncIterator[Object]:
    for obj in objects:
        yield obj


def _key(obj: Object) -> tuple[str | None, str]:
    return obj["metadata"].get("namespace"), obj["metadata"]["name"]


def _told(obj: Object) -> str:
    namespace, name = _key(obj)
    return f"{namespace}/{name}" if namespace else name
