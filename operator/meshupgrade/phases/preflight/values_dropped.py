"""ValuesDropped: user values that the new release would not have: lost by a reset (osm #2826), or no longer set."""

from meshupgrade.api.v1alpha1.findings import Finding, FindingName, Severity
from meshupgrade.domain.values import dropped_findings
from meshupgrade.phases.fit import no_longer_set
from meshupgrade.phases.preflight.check import Check
from meshupgrade.phases.shape import Work


async def check(work: Work) -> list[Finding]:
    """Name them by key."""
    if work.live is None:
        return []
    after = work.need_target().rendered.config
    return dropped_findings(work.spec.values_policy, work.live.config, after, no_longer_set(work))


CHECK = Check((FindingName.VALUES_DROPPED,), "the values that a reset would lose", check, Severity.WARNING)
