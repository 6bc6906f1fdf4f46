"""Phase 2, Preflight: everything that can be known before the first write. One check a module, all listed in CHECKS."""

from meshupgrade.api.v1alpha1.conditions import ConditionType, Reason
from meshupgrade.api.v1alpha1.status import Phase
from meshupgrade.domain.words import amount
from meshupgrade.phases.preflight import (
    addon_missing,
    autoscaling,
    capacity,
    certificate,
    crds,
    custom_resources,
    health,
    identity,
    images,
    managed_elsewhere,
    objects,
    release_pending,
    renders_randomly,
    rollback,
    sidecar_image,
    target,
    values_dropped,
    values_ignored,
)
from meshupgrade.phases.preflight.check import Check, run_checks, together
from meshupgrade.phases.shape import Outcome, PhasePlan, Work

__all__ = ["CHECKS", "Preflight"]

CHECKS: tuple[Check, ...] = (
    identity.CHECK,
    objects.CHECK,
    values_dropped.CHECK,
    values_ignored.CHECK,
    images.CHECK,
    addon_missing.CHECK,
    sidecar_image.CHECK,
    autoscaling.CHECK,
    capacity.CHECK,
    health.CHECK,
    certificate.CHECK,
    managed_elsewhere.CHECK,
    custom_resources.CHECK,
    crds.CHECK,
    rollback.CHECK,
    renders_randomly.CHECK,
)
"""Every check; what they find is told in this order within a severity."""


class Preflight:
    """Renders the target as Helm would, and has every check look at it."""

    name = Phase.PREFLIGHT
    condition = ConditionType.PREFLIGHT_PASSED

    async def plan(self, work: Work) -> PhasePlan:
        """Give all findings; put the rendered target into the Work."""
        if findings := await release_pending.check(work):
            return PhasePlan(findings)
        early = [check for check in CHECKS if not check.needs_target]
        unmade, found = await together(target.make(work), run_checks(early, work))
        if work.target is not None:
            found += await run_checks([check for check in CHECKS if check.needs_target], work)
        return PhasePlan([*unmade, *found])

    async def apply(self, work: Work) -> Outcome:
        """Nothing is written; say what was looked at."""
        rendered = work.need_target().rendered
        accepted = sorted(risk for risk in work.risks if work.accepts(risk))
        note = f"; accepted: {', '.join(accepted)}" if accepted else ""
        return Outcome(
            Reason.DONE,
            f"{amount(len(rendered.objects()), 'object')} and {amount(len(work.need_target().crds), 'CRD')} of chart "
            f"{rendered.chart_name} {rendered.chart_version} were checked, and "
            f"{', '.join(check.looks_at for check in CHECKS)}{note}",
        )
