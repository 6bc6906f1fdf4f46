"""The upgrade policy: what may follow what.

Source: the mesh's own upgrade guide, section "Policy", and Semantic Versioning 2.0.0.
"""

from enum import StrEnum

import semver

from meshupgrade.api.v1alpha1.findings import Finding, FindingName, Severity
from meshupgrade.api.v1alpha1.status import Phase


class Verdict(StrEnum):
    """What the policy says of a step."""

    SAME = "Same"
    SUPPORTED = "Supported"
    BREAKING = "Breaking"
    DOWNGRADE = "Downgrade"


def parse_version(text: str) -> semver.Version:
    """Give the semantic version in the text, a leading v accepted and dropped.

    Raises ValueError when it is none.
    """
    return semver.Version.parse(text.removeprefix("v"))


def judge(current: semver.Version, target: semver.Version) -> Verdict:
    """Say what the policy thinks of going from one version to the other; build metadata does not count."""
    order = target.compare(current)
    if order == 0:
        return Verdict.SAME
    if order < 0:
        return Verdict.DOWNGRADE
    if target.major != current.major:
        return Verdict.BREAKING
    if target.major == 0 and target.minor != current.minor:
        return Verdict.BREAKING
    return Verdict.SUPPORTED


def is_prerelease_risk(current: semver.Version | None, target: semver.Version) -> bool:
    """Tell whether the target is a pre-release that one does not come to from an earlier one of the same version."""
    if target.prerelease is None:
        return False
    if current is None:
        return True
    same_core = (current.major, current.minor, current.patch) == (target.major, target.minor, target.patch)
    return not (same_core and current.prerelease is not None and current.compare(target) <= 0)


def path_findings(current: semver.Version | None, target: semver.Version) -> list[Finding]:
    """Give what the policy has against the step, empty when it is supported; None is a mesh that is not there yet."""
    verdict = judge(current, target) if current is not None else Verdict.SUPPORTED
    if verdict is Verdict.DOWNGRADE:
        return [
            Finding(
                name=FindingName.DOWNGRADE,
                severity=Severity.ERROR,
                phase=Phase.PATH,
                message=f"spec.version {target} is lower than the version that runs, {current}; "
                "a mesh is never brought to a lower version by an upgrade",
                remedy=f"Set spec.version to {current} or a newer one.",
            )
        ]
    findings = []
    if verdict is Verdict.BREAKING:
        findings.append(
            Finding(
                name=FindingName.BREAKING_CHANGE,
                severity=Severity.RISK,
                phase=Phase.PATH,
                message=f"{current} → {target} may break users: between these versions the mesh may change CLI "
                "commands and flags, SMI CRDs or the behaviour of its controllers",
                remedy="Read the release notes, then add BreakingChange to spec.upgrade.acceptRisks, "
                "or choose a version without the change.",
            )
        )
    if is_prerelease_risk(current, target):
        findings.append(
            Finding(
                name=FindingName.PRERELEASE,
                severity=Severity.RISK,
                phase=Phase.PATH,
                message=f"{target} is a pre-release",
                remedy="Add Prerelease to spec.upgrade.acceptRisks, or choose a release.",
            )
        )
    return findings
