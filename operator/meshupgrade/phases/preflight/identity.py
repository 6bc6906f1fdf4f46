"""IdentityChanged: the mesh's name or namespace would change."""

from meshupgrade.api.v1alpha1.findings import Finding, FindingName
from meshupgrade.domain.values import identity_findings
from meshupgrade.phases.preflight.check import Check
from meshupgrade.phases.shape import Work


async def check(work: Work) -> list[Finding]:
    """Compare what Helm computes for the release that runs with what it computes for the target."""
    if work.live is None:
        return []
    return identity_findings(work.live.values(), work.need_target().rendered.values(), work.distribution.identity)


CHECK = Check((FindingName.IDENTITY_CHANGED,), "the mesh's name and namespace", check)
