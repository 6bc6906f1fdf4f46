"""Which CRDs of the release are due, and which must not wait for the control plane."""

import asyncio
from collections.abc import Mapping
from typing import Any

import semver

from meshupgrade.domain.crd_marks import written_by_newer
from meshupgrade.domain.storage import Due, dropped_too_early, storage_due
from meshupgrade.phases.live_crds import ReadCRD, crd_now
from meshupgrade.phases.shape import Work

__all__ = ["due_crds", "forced", "replaces_crds"]


async def due_crds(work: Work, read: ReadCRD = crd_now) -> list[Due]:
    """Give the CRDs of the release that are due, by name; what a newer mesh wrote is that mesh's affair."""
    found = await asyncio.gather(*(_look(work, shipped, read) for shipped in work.need_target().crds))
    return sorted((due for due in found if due is not None), key=lambda due: due.name)


def forced(work: Work, due: Due) -> bool:
    """Tell whether the release's CRD lacks a version in which objects may be stored."""
    shipped = next(crd for crd in work.need_target().crds if crd["metadata"]["name"] == due.name)
    return dropped_too_early(due, shipped)


def replaces_crds(work: Work, version: semver.Version | None = None) -> bool:
    """Tell whether the bootstrap of that mesh version, by default the target, replaces CRDs and does not merge them."""
    since = work.distribution.bootstrap.merges_since
    return since is None or (version or work.version) < semver.Version.parse(since)


async def _look(work: Work, shipped: Mapping[str, Any], read: ReadCRD) -> Due | None:
    live = await read(work, shipped["metadata"]["name"])
    if live is None or written_by_newer(live, shipped, work.distribution.name, work.version):
        return None
    return storage_due(live, shipped)
