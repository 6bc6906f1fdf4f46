"""ChartRendersRandomly: fields that the chart renders anew each time, which no plan can tell and no digest covers."""

from meshupgrade.api.v1alpha1.findings import Finding, FindingName, Severity
from meshupgrade.phases.preflight.check import Check, enumerate_some, finding
from meshupgrade.phases.shape import Work

__all__ = ["CHECK"]


async def check(work: Work) -> list[Finding]:
    """Name these fields."""
    random = sorted(f"{name} {path}" for name, path in work.need_target().random)
    if not random:
        return []
    return [
        finding(
            FindingName.CHART_RENDERS_RANDOMLY,
            Severity.INFO,
            f"the chart renders these fields anew each time, so the plan leaves them out: {enumerate_some(random)}",
            "",
        )
    ]


CHECK = Check(
    (FindingName.CHART_RENDERS_RANDOMLY,), "fields that the chart renders anew each time", check, Severity.INFO
)
