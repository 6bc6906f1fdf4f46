"""Changing the scope of CRDs: export the objects, delete the CRD, create it anew, and create the objects again.

What is there tells where a crash ended it; only that a deletion may have begun cannot be seen, and is written on the
export before it does. Until then the live objects count and the export is made anew. From then on the export counts,
and no object and no CRD is deleted that is not in it as it is.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from meshupgrade.api.v1alpha1.conditions import Reason
from meshupgrade.api.v1alpha1.findings import FindingName, Severity
from meshupgrade.domain.exports import ExportBroken
from meshupgrade.domain.scope import ScopeChange
from meshupgrade.kube.client import crd_ref
from meshupgrade.kube.errors import Conflict, KindNotServed, NotFound, Rejected, WebhookUnreachable
from meshupgrade.phases.crds.controllers import start_controllers, stop_controllers
from meshupgrade.phases.crds.export import Export, Exports, Stage
from meshupgrade.phases.crds.fence import hold_reconciler
from meshupgrade.phases.crds.scope_drain import drain, refuse_what_cannot_go
from meshupgrade.phases.crds.scope_import import Importer, settle
from meshupgrade.phases.crds.scope_look import look_at_scope
from meshupgrade.phases.crds.told import some
from meshupgrade.phases.shape import PhaseFailed, Work

__all__ = ["begun_changes", "change_scopes", "clean"]

Guard = Callable[[], None]
Object = Mapping[str, Any]

CRD_TIMEOUT = 60.0
"""Seconds that the API server may take to end a CRD without objects, or to serve a new one; it takes well below one."""

ATTEMPTS = 5
"""How often a CRD is created anew while somebody else brings the old one back."""

PAUSE = 0.1


async def begun_changes(work: Work) -> dict[str, Export]:
    """Give, by CRD name, the exports of changes that have begun to delete: those are finished first.

    Raises ExportBroken.
    """
    found = await Exports(work.tools.kube, work.namespace, work.uid).find()
    return {export.crd_name: export for export in found if export.stage is Stage.DELETING}


async def clean(work: Work) -> None:
    """Delete the exports whose objects are all there again; for a mesh at rest at its target. Raises errors of kube."""
    exports = Exports(work.tools.kube, work.namespace, work.uid)
    for export in await exports.find():
        if export.stage is Stage.IMPORTED:
            await exports.discard(export)


async def change_scopes(work: Work, changes: Sequence[ScopeChange], guard: Guard) -> str:
    """Make the changes, or finish them, and say what came of it.

    ``guard`` is called before each write and raises when nothing may be written any more. Raises PhaseFailed, Busy,
    what the guard raises, and the errors of kube; what was stopped is then restored on the way out of the run.
    """
    if not all(change.begun or work.accepts(FindingName.CRD_IMMUTABLE_CHANGE) for change in changes):
        raise PhaseFailed(FindingName.CRD_IMMUTABLE_CHANGE, "a CRD changes its scope, and that is not accepted")
    exports = Exports(work.tools.kube, work.namespace, work.uid)
    groups = {change.group for change in changes}
    try:
        for change in changes:
            if change.objects:
                # A garbage collector that does not know the kind yet would not let go of the objects.
                await settle(work, change.name)
        await work.report(f"stopping the controllers that use {some([change.name for change in changes])}")
        await stop_controllers(work, groups)
        importer = await _recreate(work, exports, changes, guard)
        try:
            await importer.create()
        except WebhookUnreachable:
            # The mesh's own webhook, as a rule: its objects are taken only while the controller runs.
            await start_controllers(work, groups)
            await _create_patiently(work, importer)
        await start_controllers(work, groups)
        await importer.restore_owners()
        for _, export in importer.begun:
            await exports.advance(export, Stage.IMPORTED)
    except ExportBroken as error:
        raise PhaseFailed(FindingName.SCOPE_CHANGE_BLOCKED, str(error)) from error
    return _told(changes, importer)


async def _recreate(work: Work, exports: Exports, changes: Sequence[ScopeChange], guard: Guard) -> Importer:
    """Export everything, then delete and create the CRDs; give what imports the objects again."""
    await exports.sweep()
    begun = await begun_changes(work)
    made = [(change, begun.get(change.name) or await _export(work, exports, change)) for change in changes]
    guard()
    made = [(change, await _mark(exports, export)) for change, export in made]
    deleted = {obj["metadata"]["uid"] for _, export in made async for obj in exports.objects(export)}
    made = [(change, await _replace(work, exports, change, export, deleted, guard)) for change, export in made]
    importer = Importer(work, exports, made, guard)
    await importer.index()
    return importer


async def _export(work: Work, exports: Exports, change: ScopeChange) -> Export:
    """Export the objects as they are now that nobody works on them any more; an earlier try is thrown away."""
    for old in await exports.find():
        if old.crd_name == change.name and old.stage is Stage.EXPORTED:
            await exports.discard(old)
    live = await work.tools.kube.get(crd_ref(change.name))
    shipped = next(crd for crd in work.need_target().crds if crd["metadata"]["name"] == change.name)
    findings, _ = await look_at_scope(work, live, shipped)
    if errors := [finding.message for finding in findings if finding.severity is Severity.ERROR]:
        raise PhaseFailed(FindingName.SCOPE_CHANGE_BLOCKED, "; ".join(errors))
    await work.report(f"exporting the objects of CRD {change.name}")
    given = work.spec.crds.namespaces.get(change.name)
    return await exports.make(live, change.version, _objects(work, change), namespace=given)


async def _objects(work: Work, change: ScopeChange) -> AsyncIterator[Object]:
    async for obj in work.tools.kube.list_objects(change.api_version, change.kind):
        refuse_what_cannot_go(change, [obj])
        yield obj


async def _mark(exports: Exports, export: Export) -> Export:
    return export if export.stage is Stage.DELETING else await exports.advance(export, Stage.DELETING)


async def _replace(
    work: Work, exports: Exports, change: ScopeChange, export: Export, deleted: set[str], guard: Guard
) -> Export:
    """Bring the CRD to its new scope, wherever it stands, and give the export with what was added to it."""
    kube, ref = work.tools.kube, crd_ref(change.name)
    for _ in range(ATTEMPTS):
        live = await kube.find(ref)
        if live is not None and "deletionTimestamp" not in live["metadata"]:
            if live["spec"]["scope"] == change.after and live["metadata"]["uid"] != export.crd["metadata"]["uid"]:
                await _served(work, change)
                return export
            guard()
            try:
                # A reconciler that sees its CRD go brings it back.
                await hold_reconciler(work, live)
            except Conflict:
                continue
            export = await drain(work, exports, change, export, deleted, guard)
            guard()
            await work.report(f"deleting CRD {change.name}, whose objects are exported")
            await kube.delete(ref, uid=live["metadata"]["uid"])
        await _gone(work, change)
        try:
            guard()
            await kube.apply(change.merged)
        except (Conflict, Rejected):
            if await kube.find(ref) is None:
                raise
            continue
        await _served(work, change)
    raise PhaseFailed(FindingName.CRD_WRITTEN_BACK, f"somebody brings the old CRD {change.name} back all the time")


async def _gone(work: Work, change: ScopeChange) -> None:
    """Wait until a CRD that is being deleted is gone; one that somebody created again counts as gone."""
    deadline = time.monotonic() + CRD_TIMEOUT
    while (live := await work.tools.kube.find(crd_ref(change.name))) is not None:
        if "deletionTimestamp" not in live["metadata"]:
            return
        if time.monotonic() > deadline:
            raise PhaseFailed(Reason.API_REJECTED, f"CRD {change.name} is still being deleted; something holds it up")
        await asyncio.sleep(PAUSE)


async def _served(work: Work, change: ScopeChange) -> None:
    """Wait until objects are served under the new scope, which is a moment after the CRD says that it is."""
    kube = work.tools.kube
    deadline = time.monotonic() + CRD_TIMEOUT
    while True:
        kube.forget_discovery({change.group})
        try:
            if await kube.is_namespaced(change.api_version, change.kind) == (change.after == "Namespaced"):
                path = await kube.path(change.api_version, change.kind, None)
                await kube.json("GET", path, query={"limit": "1"})
                return
        except (KindNotServed, NotFound):
            pass
        if time.monotonic() > deadline:
            raise PhaseFailed(Reason.API_REJECTED, f"CRD {change.name} is not served as {change.after}")
        await asyncio.sleep(PAUSE)


async def _create_patiently(work: Work, importer: Importer) -> None:
    """Create the objects once the webhook that was stopped with the controllers answers again."""
    deadline = time.monotonic() + work.timeout.total_seconds()
    while True:
        await work.report("waiting for the webhook of the mesh, to create the exported objects again")
        try:
            return await importer.create()
        except WebhookUnreachable as error:
            if time.monotonic() > deadline:
                raise PhaseFailed(Reason.WEBHOOK_UNREACHABLE, str(error)) from error
        await asyncio.sleep(1)


def _told(changes: Sequence[ScopeChange], importer: Importer) -> str:
    text = (
        f"of {some([change.name for change in changes])} the scope was changed, {importer.made} objects created again"
    )
    if importer.lost_owners:
        text += f"; owner references that could not be kept: {importer.lost_owners}"
    if importer.others:
        text += f"; somebody else had created {some(importer.others)} meanwhile, which stay as they are"
    return text
