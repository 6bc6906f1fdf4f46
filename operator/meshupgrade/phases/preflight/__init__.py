"""Phase 2, Preflight: everything that can be known before the first write. One check a module."""

from meshupgrade.api.v1alpha1.conditions import ConditionType, Reason
from meshupgrade.api.v1alpha1.status import Phase
from meshupgrade.phases.preflight import identity, objects, release_pending, target, values_dropped
from meshupgrade.phases.shape import Outcome, PhasePlan, Work

__all__ = ["Preflight"]

CHECKS = (identity.check, values_dropped.check, objects.check)
"""The checks that look at the rendered target."""


class Preflight:
    """Renders the target as Helm would, and asks the API server about each object of it."""

    name = Phase.PREFLIGHT
    condition = ConditionType.PREFLIGHT_PASSED

    async def plan(self, work: Work) -> PhasePlan:
        """Give all findings; put the rendered target into the Work."""
        findings = await release_pending.check(work)
        if findings:
            return PhasePlan(findings)
        findings = await target.make(work)
        if work.target is None:
            return PhasePlan(findings)
        for check in CHECKS:
            findings += await check(work)
        return PhasePlan(findings)

    async def apply(self, work: Work) -> Outcome:
        """Nothing is written; say what was looked at."""
        rendered = work.need_target().rendered
        accepted = sorted(work.spec.upgrade.accept_risks)
        note = f"; accepted: {', '.join(accepted)}" if accepted else ""
        return Outcome(
            Reason.DONE,
            f"{len(rendered.objects())} objects and {len(work.need_target().crds)} CRDs of chart "
            f"{rendered.chart_name} {rendered.chart_version} were checked{note}",
        )
