"""ValuesDropped: user values of the live release that a reset loses (osm #2826)."""

from meshupgrade.api.v1alpha1.findings import Finding
from meshupgrade.domain.values import dropped_findings
from meshupgrade.phases.shape import Work


async def check(work: Work) -> list[Finding]:
    """Name them by key."""
    assert work.live is not None
    return dropped_findings(work.spec.values_policy, work.live.config, work.need_target().rendered.config)
