"""The version to reach: an exact one is taken as it stands, a range is resolved by what the repository lists."""

from collections.abc import Sequence

import semver

from meshupgrade.api.v1alpha1.findings import Finding, FindingName, Severity
from meshupgrade.api.v1alpha1.plan import AvailableVersion
from meshupgrade.api.v1alpha1.status import MAX_AVAILABLE, Phase
from meshupgrade.domain.hops import Candidate, candidates, resolve
from meshupgrade.helm.repository import ChartListing, RepositoryError, list_versions
from meshupgrade.phases.chart_source import chart_source, repository_finding
from meshupgrade.phases.references import ReferenceInvalid
from meshupgrade.phases.shape import Work

__all__ = ["available_versions", "chart_listing", "resolve_goal"]


async def resolve_goal(work: Work, known: semver.Version | None, *, keep: bool) -> list[Finding]:
    """Put the version to reach into the Work, or give why there is none.

    ``known`` is what a range was resolved to before; it stays when the repository does not answer, and with ``keep``
    whatever that lists: a hop that has begun is not left for a newer version. Raises RepositoryUnreachable.
    """
    wanted = work.wanted
    if wanted.exact is not None:
        work.goal = work.version = wanted.exact
        return []
    known = known if known is not None and wanted.allows(known) else None
    if known is not None and keep:
        work.goal = work.version = known
        return []
    listing = None
    try:
        listing = await chart_listing(work)
    except RepositoryError as error:
        if not error.transient:
            return [repository_finding(error, Phase.PATH)]
        if known is None:
            raise
    except ReferenceInvalid as error:
        return [error.finding.model_copy(update={"phase": Phase.PATH})]
    goal = resolve(work.running(), wanted, _listed(listing), _accepted(work)) if listing is not None else known
    if goal is None:
        assert listing is not None
        return [_none_allowed(work, listing)]
    work.goal = work.version = goal
    return []


async def chart_listing(work: Work) -> ChartListing:
    """Give what the repository lists, asked once in a run. Raises RepositoryError and ReferenceInvalid."""
    if work.listing is None:
        names = [work.spec.chart.name] if work.spec.chart.name else list(work.distribution.chart.names)
        work.source = await chart_source(work, names[0])
        work.listing = await list_versions(
            work.tools.http,
            work.repository,
            names,
            insecure=work.source.insecure,
            credentials=work.source.credentials,
            tls=work.source.tls,
            cache=work.tools.indexes,
        )
    return work.listing


def available_versions(work: Work, listing: ChartListing) -> list[AvailableVersion]:
    """Give what the policy says of the versions that are newer than the one that runs, and of that one; newest first.

    Lower ones are left out: a mesh never goes there by an upgrade. So are versions beyond the bound of the status.
    """
    current = work.running()
    judged = candidates(current, work.wanted, _listed(listing), _accepted(work))
    kept = [one for one in judged if current is None or one.version.compare(current) >= 0]
    return [
        AvailableVersion(
            version=str(one.version),
            allowed=one.allowed,
            reason="" if one.allowed else str(one.reason),
            message="" if one.allowed else one.message[:256],
        )
        for one in kept[:MAX_AVAILABLE]
    ]


def _accepted(work: Work) -> frozenset[FindingName]:
    return frozenset(FindingName(name) for name in work.spec.upgrade.accept_risks)


def _listed(listing: ChartListing) -> Sequence[semver.Version]:
    return [chart.version for chart in listing.versions]


def _none_allowed(work: Work, listing: ChartListing) -> Finding:
    judged = candidates(work.running(), work.wanted, _listed(listing), _accepted(work))
    near: list[Candidate] = [one for one in judged if work.wanted.allows(one.version)] or judged
    told = "; ".join(f"{one.version}: {one.message}" for one in near[:5])
    return Finding(
        name=FindingName.NO_VERSION_ALLOWED,
        severity=Severity.ERROR,
        phase=Phase.PATH,
        message=f"{work.repository} has no version of chart {listing.chart} in {work.spec.version} that may be taken "
        f"from here: {told or 'it lists none'}"[:2000],
        remedy="Set spec.version to a range with such a version, or to an exact one; or name the risk that is in the "
        "way in spec.upgrade.acceptRisks.",
    )
