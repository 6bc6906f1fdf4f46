"""Going back to a revision that was verified before, at the wish of a person: what speaks against it."""

import asyncio
from collections.abc import Mapping
from typing import Any

import semver

from meshupgrade.api.v1alpha1.findings import Finding, FindingName, Severity
from meshupgrade.domain.rollback import keeps_stored_versions
from meshupgrade.helm.release import Release
from meshupgrade.kube.client import crd_ref
from meshupgrade.phases.preflight.crd_source import release_crds
from meshupgrade.phases.preflight.objects import what_is_refused
from meshupgrade.phases.shape import Work
from meshupgrade.phases.storage.look import replaces_crds

__all__ = ["going_back_findings"]


async def going_back_findings(work: Work, release: Release) -> list[Finding]:
    """Give what speaks against going back to a stored release: its objects, and whether its bootstrap could start.

    Puts into the Work what would be deleted and created again.
    """
    refused, blocked = await asyncio.gather(what_is_refused(work, release), _blocked(work, release))
    work.recreated = frozenset(refused.immutable)
    found = [
        _finding(
            FindingName.OBJECT_REJECTED,
            Severity.ERROR,
            f"the API server would not take what revision {release.revision} had: {text}",
            "Set spec.version to the version that runs, or to a newer one.",
        )
        for text in refused.told[:10]
    ]
    found += [
        _finding(
            FindingName.IMMUTABLE_FIELD_CHANGED,
            Severity.RISK,
            f"{ref} cannot be changed back in place",
            f"Add ImmutableFieldChanged to spec.upgrade.acceptRisks to have {ref} deleted and created again.",
        )
        for ref in refused.immutable[:10]
    ]
    return [*found, *blocked]


async def _blocked(work: Work, release: Release) -> list[Finding]:
    version = semver.Version.parse(release.chart_version.removeprefix("v"))
    if not replaces_crds(work, version):
        return []
    crds = await release_crds(work, release)
    if crds is None:
        return []
    reasons = await asyncio.gather(*(_reason(work, crd) for crd in crds))
    told = "; ".join(reason for reason in reasons if reason)
    if not told:
        return []
    return [
        _finding(
            FindingName.ROLLBACK_BLOCKED,
            Severity.ERROR,
            f"the bootstrap of {version} could not start again: {told}",
            "Stay at the version that runs, or go to a newer one.",
        )
    ]


async def _reason(work: Work, crd: Mapping[str, Any]) -> str | None:
    live = await work.tools.kube.find(crd_ref(crd["metadata"]["name"]))
    return keeps_stored_versions(live, crd) if live is not None else None


def _finding(name: FindingName, severity: Severity, message: str, remedy: str) -> Finding:
    return Finding(name=name, severity=severity, phase="RollingBack", message=message[:2000], remedy=remedy)
