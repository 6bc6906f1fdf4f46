"""Phase 1, Path: is there a release, is there such a chart, and does the policy allow to go there, hop by hop."""

import semver

from meshupgrade.api.v1alpha1.conditions import ConditionType, Reason
from meshupgrade.api.v1alpha1.findings import Finding, FindingName, Severity
from meshupgrade.api.v1alpha1.spec import PathPolicy
from meshupgrade.api.v1alpha1.status import Phase
from meshupgrade.domain.hops import hop_findings, plan_hops
from meshupgrade.helm.repository import ChartListing, ChartVersion, RepositoryError
from meshupgrade.phases.chart_source import repository_finding
from meshupgrade.phases.references import ReferenceInvalid
from meshupgrade.phases.resolution import available_versions, chart_listing
from meshupgrade.phases.shape import Outcome, PhasePlan, Work

__all__ = ["Path"]


class Path:
    """Applies the upgrade policy to the version to reach, and finds the hops and their charts."""

    name = Phase.PATH
    condition = ConditionType.PATH_VALIDATED

    async def plan(self, work: Work) -> PhasePlan:
        """Give the policy's findings; put the hops, and the chart of each, into the Work."""
        if work.live is None and not work.spec.install_if_missing:
            return PhasePlan([await _release_not_found(work)])
        goal = work.need_goal()
        findings = hop_findings(work.running(), [goal])
        if any(finding.severity is Severity.ERROR for finding in findings):
            return PhasePlan([_with_way_back(work, finding) for finding in findings])
        try:
            listing = await chart_listing(work)
        except ReferenceInvalid as error:
            return PhasePlan([*findings, error.finding.model_copy(update={"phase": Phase.PATH})])
        except RepositoryError as error:
            if error.transient:
                raise
            return PhasePlan([*findings, repository_finding(error, Phase.PATH)])
        work.available = available_versions(work, listing)
        hops = _hops(work, [chart.version for chart in listing.versions if not chart.deprecated])
        charts = [_chart(listing, hop) for hop in hops]
        if None in charts:
            return PhasePlan([*findings, _chart_not_found(work, listing, hops[charts.index(None)])])
        work.hops, work.charts, work.chart_name = hops, [chart for chart in charts if chart], listing.chart
        work.version = hops[0]
        return PhasePlan(hop_findings(work.running(), hops))

    async def apply(self, work: Work) -> Outcome:
        """Nothing is written; say the path."""
        path = " → ".join(map(str, work.hops))
        if work.live is None:
            return Outcome(Reason.DONE, f"install of {path}")
        current = work.current_version()
        if current == work.need_goal():
            return Outcome(Reason.NOTHING_TO_DO, f"the mesh runs {current} already")
        return Outcome(Reason.DONE, f"{current} → {path}")


def _hops(work: Work, listed: list[semver.Version]) -> list[semver.Version]:
    """Give the hops; one that was begun, by a run that died or failed in it, comes first whatever runs by now."""
    goal, stepwise = work.need_goal(), work.spec.upgrade.path is PathPolicy.STEPWISE
    begun = work.begun_hop
    if begun is None:
        return plan_hops(work.running(), goal, listed, stepwise=stepwise)
    return [begun] if begun == goal else [begun, *plan_hops(begun, goal, listed, stepwise=stepwise)]


def _chart(listing: ChartListing, version: semver.Version) -> ChartVersion | None:
    """Give the chart of exactly that build, else the first of that version."""
    same = [chart for chart in listing.versions if chart.version == version]
    return next((chart for chart in same if str(chart.version) == str(version)), next(iter(same), None))


def _with_way_back(work: Work, finding: Finding) -> Finding:
    """Say in the remedy of a Downgrade which lower version would be none."""
    if finding.name is not FindingName.DOWNGRADE:
        return finding
    way = "Only the version that was verified before it can be gone back to, and history has none that is lower."
    if before := work.version_before:
        way = f"Only {before}, which was verified before it, can be gone back to: set spec.version to it."
    return finding.model_copy(update={"remedy": f"{finding.remedy} {way}"})


async def _release_not_found(work: Work) -> Finding:
    others = {
        secret["metadata"]["labels"].get("name", "")
        async for secret in work.tools.kube.list_objects(
            "v1", "Secret", work.namespace, labels="owner=helm", metadata_only=True
        )
    }
    there = f"it has these: {', '.join(sorted(others)[:10])}" if others else "it has no Helm release at all"
    if work.revisions:
        there = f"it was uninstalled, and only the history of it is there, up to revision {work.revisions[0].revision}"
    return Finding(
        name=FindingName.RELEASE_NOT_FOUND,
        severity=Severity.ERROR,
        phase=Phase.PATH,
        message=f"namespace {work.namespace} has no Helm release {work.release}; {there}",
        remedy="Create the MeshUpgrade in the namespace of the mesh, with spec.mesh.name the name of its Helm release "
        "(helm list -A shows both), or set spec.installIfMissing.",
    )


def _chart_not_found(work: Work, listing: ChartListing, target: semver.Version) -> Finding:
    newest = [str(chart.version) for chart in listing.versions[:8]]
    return Finding(
        name=FindingName.CHART_NOT_FOUND,
        severity=Severity.ERROR,
        phase=Phase.PATH,
        message=f"{work.repository} has no version {target} of chart {listing.chart}; "
        f"the newest are {', '.join(newest) or 'none'}",
        remedy="Set spec.version to one that the repository lists.",
    )
