"""A hop that is planned before the ones ahead of it have run: against the release and the CRDs that they will leave."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from meshupgrade.domain.crd_changes import CRDChange, Look
from meshupgrade.domain.crd_marks import written_by_newer
from meshupgrade.domain.crds import stored_version
from meshupgrade.phases.shape import Work

__all__ = ["later_hop"]

Object = Mapping[str, Any]


def later_hop(before: Work) -> Work:
    """Give the Work of the hop after one whose target is made and whose CRDs were looked at.

    Nothing of it is carried out: each hop is planned anew when its turn comes.
    """
    target = before.need_target()
    # What this hop leaves as it is may have been changed by an earlier one, which is not in the cluster yet either.
    reads = {name: read for name, read in before.crd_reads.items() if _is_known(read)}
    for look in before.crd_looks:
        left = _left(before, look, reads)
        if left is not None:
            reads[look.name] = asyncio.get_running_loop().create_future()
            reads[look.name].set_result(left)
    return replace(
        before,
        live=target.rendered,
        base=target.rendered,
        verified=None,
        half_way=False,
        begun_hop=None,
        version=before.hops[1],
        hops=before.hops[1:],
        charts=before.charts[1:],
        target=None,
        chart_defaults=None,
        crd_looks=(),
        crd_reads=reads,
        planned_dues=(),
        helms_own=frozenset(),
        recreated=frozenset(),
    )


def _is_known(read: asyncio.Future[Object | None]) -> bool:
    return read.done() and not read.cancelled() and read.exception() is None


def _left(before: Work, look: Look, reads: Mapping[str, asyncio.Future[Object | None]]) -> Object | None:
    """Give the CRD as the hop before leaves it, its objects stored in that release's version; None if not known."""
    if look.change is not None:
        crd: Object | None = _applied(look.change)
    else:
        crd = reads[look.name].result() if look.name in reads else None
    shipped = next((one for one in before.need_target().crds if one["metadata"]["name"] == look.name), None)
    if crd is None or shipped is None or look.scope is not None or not before.spec.crds.migrate_storage:
        return crd
    wanted = stored_version(shipped)
    newer = look.change is None and written_by_newer(crd, shipped, before.distribution.name, before.version)
    if newer or wanted not in {version["name"] for version in crd["spec"]["versions"]}:
        return crd
    versions = [{**version, "storage": version["name"] == wanted} for version in crd["spec"]["versions"]]
    return {**crd, "spec": {**crd["spec"], "versions": versions}, "status": {"storedVersions": [wanted]}}


def _applied(change: CRDChange) -> Object:
    live = change.live or {"metadata": {}}
    metadata = {**live["metadata"], **change.merged["metadata"]}
    for key in ("labels", "annotations"):
        metadata[key] = {**(live["metadata"].get(key) or {}), **(change.merged["metadata"].get(key) or {})}
    stored = (live.get("status") or {}).get("storedVersions") or [stored_version({"spec": change.spec})]
    return {**change.merged, "metadata": metadata, "spec": change.spec, "status": {"storedVersions": list(stored)}}
