"""RollbackBlocked: the bootstrap of the release that runs could not start again after the upgrade."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import semver

from meshupgrade.api.v1alpha1.findings import Finding, FindingName, Severity
from meshupgrade.domain.crds import stored_version
from meshupgrade.domain.rollback import is_of_release, keeps_from_rollback
from meshupgrade.helm.release import Release
from meshupgrade.phases.live_crds import known_crd
from meshupgrade.phases.preflight.check import Check, enumerate_some, finding
from meshupgrade.phases.preflight.crd_source import release_crds
from meshupgrade.phases.shape import Work
from meshupgrade.phases.storage.look import replaces_crds

__all__ = ["CHECK"]

Pair = tuple[Mapping[str, Any], Mapping[str, Any]]


async def _check(work: Work) -> list[Finding]:
    if work.live is None:
        return []
    old = work.live if work.verified is None else await work.storage.read(work.verified)
    version = semver.Version.parse(old.chart_version.removeprefix("v"))
    shipped = work.need_target().crds
    found = await asyncio.gather(*(known_crd(work, crd["metadata"]["name"]) for crd in shipped))
    pairs = [(live, crd) for live, crd in zip(found, shipped, strict=True) if live is not None]
    certain = [pair for pair in pairs if is_of_release(pair[0], work.distribution.name, version)]
    merged = [pair for pair in pairs if pair not in certain]
    replaces = replaces_crds(work, version)
    reasons = [keeps_from_rollback(live, crd, replaces=replaces) for live, crd in certain]
    if merged:
        reasons += await _by_image(work, old, merged, replaces=replaces)
    blocked = [reason for reason in reasons if reason is not None]
    return [_blocked(old, blocked)] if blocked else []


async def _by_image(work: Work, old: Release, pairs: Sequence[Pair], *, replaces: bool) -> list[str | None]:
    """Look at the old release's own CRDs, where what lives is not what it brought any more."""
    crds = await release_crds(work, old)
    if crds is not None:
        by_name = {crd["metadata"]["name"]: crd for crd in crds}
        known = [(by_name[crd["metadata"]["name"]], crd) for _, crd in pairs if crd["metadata"]["name"] in by_name]
        return [keeps_from_rollback(before, crd, replaces=replaces) for before, crd in known]
    unknown = [crd["metadata"]["name"] for live, crd in pairs if work.half_way or _moves(live, crd)]
    if not replaces or not unknown:
        return []
    return [f"whether it has the versions to be stored of {enumerate_some(unknown)} cannot be told without its image"]


def _moves(live: Mapping[str, Any], shipped: Mapping[str, Any]) -> bool:
    """Tell whether the stored version has changed of late, or will."""
    wanted = stored_version(shipped)
    return stored_version(live) != wanted or (live.get("status") or {}).get("storedVersions") != [wanted]


def _blocked(old: Release, reasons: Sequence[str]) -> Finding:
    return finding(
        FindingName.ROLLBACK_BLOCKED,
        Severity.WARNING,
        f"the API server would refuse the CRDs that the bootstrap of release {old.chart_version} brings, so a rollback "
        f"could not start, and a failed upgrade is left as it is: {enumerate_some(reasons)}",
        "Take a backup before, and be ready to repair a failed upgrade forward; spec.upgrade.onFailure acts as Hold.",
    )


CHECK = Check(
    names=(FindingName.ROLLBACK_BLOCKED,),
    looks_at="whether the old release could start again",
    run=_check,
    worst=Severity.WARNING,
    timeout=60.0,
)
