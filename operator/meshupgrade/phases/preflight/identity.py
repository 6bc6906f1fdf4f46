"""IdentityChanged: the mesh's name or namespace would change."""

from meshupgrade.api.v1alpha1.findings import Finding
from meshupgrade.domain.values import identity_findings
from meshupgrade.phases.shape import Work


async def check(work: Work) -> list[Finding]:
    """Compare what Helm computes for the release that runs with what it computes for the target."""
    assert work.live is not None
    return identity_findings(work.live.values(), work.need_target().rendered.values(), work.distribution.identity)
