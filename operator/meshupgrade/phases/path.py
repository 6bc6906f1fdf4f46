"""Phase 1, Path: is there a release, is there such a chart, and does the policy allow to go there."""

import semver

from meshupgrade.api.v1alpha1.conditions import ConditionType, Reason
from meshupgrade.api.v1alpha1.findings import Finding, FindingName, Severity
from meshupgrade.api.v1alpha1.status import Phase
from meshupgrade.domain.versions import parse_version, path_findings
from meshupgrade.helm.repository import ChartListing, RepositoryError, list_versions
from meshupgrade.phases.chart_source import chart_source, repository_finding
from meshupgrade.phases.references import ReferenceInvalid
from meshupgrade.phases.shape import Outcome, PhasePlan, Work

__all__ = ["Path"]


class Path:
    """Resolves the version against the chart repository and applies the upgrade policy."""

    name = Phase.PATH
    condition = ConditionType.PATH_VALIDATED

    async def plan(self, work: Work) -> PhasePlan:
        """Give the policy's findings; put the chart and the hops into the Work."""
        if work.live is None and not work.spec.install_if_missing:
            return PhasePlan([await _release_not_found(work)])
        target = parse_version(work.spec.version)
        findings = path_findings(work.current_version() if work.live is not None else None, target)
        if any(finding.severity is Severity.ERROR for finding in findings):
            return PhasePlan(findings)
        names = [work.spec.chart.name] if work.spec.chart.name else list(work.distribution.chart.names)
        try:
            work.source = await chart_source(work, names[0])
            listing = await list_versions(
                work.tools.http,
                work.repository,
                names,
                insecure=work.source.insecure,
                credentials=work.source.credentials,
                tls=work.source.tls,
                cache=work.tools.indexes,
            )
        except ReferenceInvalid as error:
            return PhasePlan([*findings, error.finding.model_copy(update={"phase": Phase.PATH})])
        except RepositoryError as error:
            if error.transient:
                raise
            return PhasePlan([*findings, repository_finding(error, Phase.PATH)])
        chart = next((chart for chart in listing.versions if chart.version == target), None)
        if chart is None:
            return PhasePlan([*findings, _chart_not_found(work, listing, target)])
        work.chart, work.chart_name, work.hops = chart, listing.chart, [str(target)]
        return PhasePlan(findings)

    async def apply(self, work: Work) -> Outcome:
        """Nothing is written; say the path."""
        if work.live is None:
            return Outcome(Reason.DONE, f"install of {' → '.join(work.hops)}")
        current, target = work.current_version(), parse_version(work.spec.version)
        if current == target:
            return Outcome(Reason.NOTHING_TO_DO, f"the mesh runs {current} already")
        return Outcome(Reason.DONE, f"{current} → {' → '.join(work.hops)}")


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
