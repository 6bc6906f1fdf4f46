"""A Work as a run carries it, without tools: for what decides and reads nothing."""

from typing import Any, cast

from meshupgrade.api.v1alpha1.spec import DistributionName, MeshUpgradeSpec
from meshupgrade.distributions import load_distribution
from meshupgrade.domain.ranges import parse_range
from meshupgrade.helm.release import Release, ReleaseStatus
from meshupgrade.helm.storage import StoredRevision
from meshupgrade.phases.shape import Tools, Work

__all__ = ["make_release", "make_work"]


async def _nothing(*_: Any) -> None:
    """Report nothing."""


def make_release(
    *,
    version: str = "1.2.3",
    config: dict[str, Any] | None = None,
    status: ReleaseStatus = ReleaseStatus.DEPLOYED,
    revision: int = 2,
) -> Release:
    return Release(
        name="osm",
        namespace="osm-system",
        revision=revision,
        status=status,
        description="",
        updated=None,
        chart_name="osm-edge",
        chart_version=version,
        app_version=version,
        config=config or {},
        defaults={},
        manifest="",
        hooks=(),
    )


def make_work(
    spec: dict[str, Any] | None = None,
    *,
    distribution: DistributionName = DistributionName.OSM_EDGE,
    live: Release | None = None,
    revisions: tuple[int, ...] = (2, 1),
) -> Work:
    work = Work(
        tools=cast("Tools", None),
        namespace="osm-system",
        uid="u1",
        generation=3,
        spec=MeshUpgradeSpec.model_validate(
            {"version": "1.2.3", "mesh": {"distribution": str(distribution)}, **(spec or {})}
        ),
        distribution=load_distribution(distribution),
        report=_nothing,
        helm_started=_nothing,
        superseded=lambda: False,
    )
    work.wanted = parse_range(work.spec.version)
    work.goal = work.wanted.exact
    work.version = work.goal or work.version
    work.live = live
    work.values = work.spec.values
    work.revisions = [StoredRevision(revision, ReleaseStatus.SUPERSEDED, {}) for revision in revisions]
    return work
