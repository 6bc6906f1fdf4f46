"""Which versions the policy lets a mesh go to, which one a range comes to, and the hops on the way there.

Versions are given as the chart repository lists them. Of two that differ in build metadata alone, the one that it
lists first counts, unless the other is named.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import semver

from meshupgrade.api.v1alpha1.findings import Finding, FindingName
from meshupgrade.domain.ranges import Range
from meshupgrade.domain.versions import Verdict, is_prerelease_risk, judge, path_findings

__all__ = ["Candidate", "CandidateReason", "candidates", "hop_findings", "plan_hops", "resolve"]


class CandidateReason(StrEnum):
    """Why a version may be taken, or may not."""

    ALLOWED = "Allowed"
    CURRENT = "Current"
    OUT_OF_RANGE = "OutOfRange"
    DOWNGRADE = "Downgrade"
    BREAKING_CHANGE = "BreakingChange"
    PRERELEASE = "Prerelease"


@dataclass(frozen=True, slots=True)
class Candidate:
    """What the policy says of one version that the repository lists; the message reads on after its name."""

    version: semver.Version
    allowed: bool
    reason: CandidateReason
    message: str


def candidates(
    current: semver.Version | None,
    wanted: Range,
    listed: Sequence[semver.Version],
    accepted_risks: frozenset[FindingName],
) -> list[Candidate]:
    """Judge all versions that are listed, newest first; None is a mesh that is not there yet.

    What a range wants decides with the policy. An exact version is a person's choice and no bound: the others are
    then judged by the policy alone, so that one sees where one could go, and so is the choice itself.
    """
    newest_first = sorted(listed, reverse=True)
    return [_judged(current, wanted, version, accepted_risks) for version in newest_first]


def _judged(
    current: semver.Version | None, wanted: Range, version: semver.Version, accepted: frozenset[FindingName]
) -> Candidate:
    def refused(reason: CandidateReason, message: str) -> Candidate:
        return Candidate(version, False, reason, message)

    verdict = judge(current, version) if current is not None else Verdict.SUPPORTED
    in_range = wanted.exact is not None or wanted.allows(version)
    if verdict is Verdict.SAME:
        message = "the mesh runs it" if in_range else f"the mesh runs it, and it is not in {wanted}"
        return Candidate(version, in_range, CandidateReason.CURRENT, message)
    if verdict is Verdict.DOWNGRADE:
        return refused(CandidateReason.DOWNGRADE, f"lower than {current}, which runs")
    if not in_range:
        hint = ", which takes no pre-release unless it names one" if version.prerelease else ""
        return refused(CandidateReason.OUT_OF_RANGE, f"not in {wanted}{hint}")
    risks = []
    if verdict is Verdict.BREAKING:
        risks.append((FindingName.BREAKING_CHANGE, f"coming from {current}, it may break users"))
    if is_prerelease_risk(current, version):
        risks.append((FindingName.PRERELEASE, "it is a pre-release"))
    for name, message in risks:
        if name not in accepted:
            return refused(CandidateReason(name), f"{message}, and {name} is not in spec.upgrade.acceptRisks")
    taken = f"{' and '.join(name for name, _ in risks)} accepted" if risks else "supported"
    return Candidate(version, True, CandidateReason.ALLOWED, taken)


def resolve(
    current: semver.Version | None,
    wanted: Range,
    listed: Sequence[semver.Version],
    accepted_risks: frozenset[FindingName],
) -> semver.Version | None:
    """Give the version to reach, None when there is none.

    An exact version is it when it is listed, whatever the policy says of it. Of a range it is the newest version that
    the policy allows; the one that runs stays when it is in the range and no newer one is allowed.
    """
    if wanted.exact is not None:
        return _as_listed(wanted.exact, listed)
    judged = candidates(current, wanted, listed, accepted_risks)
    newest = next((one.version for one in judged if one.reason is CandidateReason.ALLOWED), None)
    if newest is None and current is not None and wanted.allows(current):
        return _as_listed(current, listed) or current
    return newest


def _as_listed(version: semver.Version, listed: Sequence[semver.Version]) -> semver.Version | None:
    same = [one for one in listed if one == version]
    return next((one for one in same if one.build == version.build), same[0] if same else None)


def plan_hops(
    current: semver.Version | None, target: semver.Version, listed: Sequence[semver.Version], *, stepwise: bool
) -> list[semver.Version]:
    """Give the versions to bring one after the other, each greater than the one before; the target is the last.

    Stepwise stops at the newest patch of each minor that lies between the two and has a release; majors in between
    are walked through by their minors. Nobody is brought to a pre-release on the way, so leave out of the list
    whatever else is not to be stopped at. An install, a version that runs already and a lower one are one hop: what
    the policy has against a hop, ``hop_findings`` tells.
    """
    target = _as_listed(target, listed) or target
    if current is None or not stepwise:
        return [target]
    newest: dict[tuple[int, int], semver.Version] = {}
    for version in listed:
        minor = _minor(version)
        if version.prerelease is not None or not _minor(current) < minor < _minor(target):
            continue
        if minor not in newest or version > newest[minor]:
            newest[minor] = version
    return [*(newest[minor] for minor in sorted(newest)), target]


def _minor(version: semver.Version) -> tuple[int, int]:
    return version.major, version.minor


def hop_findings(current: semver.Version | None, hops: Sequence[semver.Version]) -> list[Finding]:
    """Give what the policy has against each hop, whose versions the messages name."""
    starts = [current, *hops]
    return [finding for start, end in zip(starts, hops, strict=False) for finding in path_findings(start, end)]
