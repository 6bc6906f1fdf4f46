"""Planning: every phase of every hop asked, before the first write, what it would do and what speaks against it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from meshupgrade.api.v1alpha1.findings import Finding, FindingName, Severity
from meshupgrade.api.v1alpha1.plan import PlannedImage, PlannedRestart, PlannedValue
from meshupgrade.api.v1alpha1.status import Phase
from meshupgrade.kube.errors import Forbidden
from meshupgrade.phases import PHASES
from meshupgrade.phases.later_hop import later_hop
from meshupgrade.phases.shape import PhaseModule, PhasePlan, Work

__all__ = ["LATER", "ONCE_PHASES", "Afterwards", "Planned", "plan_path", "plan_phases"]

ONCE_PHASES = tuple(phase for phase in PHASES if phase.name in (Phase.MESH_CONFIG, Phase.DATA_PLANE, Phase.ADDONS))
"""The phases that run once, after the last hop."""

HOP_PHASES = tuple(phase for phase in PHASES if phase not in ONCE_PHASES)
"""The phases of each hop."""

LATER_PHASES = tuple(phase for phase in PHASES if phase.name in (Phase.PREFLIGHT, Phase.CRDS, Phase.STORAGE))
"""The phases that plan a hop before its turn comes; each of its phases is planned when it does."""


LATER = "hop to "
"""How the message of a finding begins that is of a later hop alone."""


@dataclass(frozen=True)
class Planned:
    """What came of planning."""

    findings: Sequence[Finding]
    phases: Sequence[PhasePlan]
    """The plans of the phases of this hop, in their order."""

    hops: Sequence[Work]
    """The Work of each hop that was planned; after an Error there are fewer than there are hops."""

    @property
    def complete(self) -> bool:
        """Whether every hop has its target, so that there is a plan to tell."""
        return len(self.hops) == len(self.hops[0].hops) and all(hop.target is not None for hop in self.hops)

    @property
    def afterwards(self) -> "Afterwards":
        """What follows the hops."""
        return Afterwards.of(self.phases)


@dataclass(frozen=True)
class Afterwards:
    """What the phases after the hops will do."""

    mesh_config: Sequence[PlannedValue] = ()
    """The fields of the MeshConfig that change."""

    data_plane: PlannedRestart | None = None
    addons: Sequence[PlannedImage] = ()
    """Images of addons that are set on Deployments."""

    @classmethod
    def of(cls, plans: Sequence[PhasePlan]) -> Self:
        """Put it together from the plans of phases."""
        restarts = (plan.data_plane for plan in plans if plan.data_plane is not None)
        addons = [image for plan in plans for image in plan.addons]
        return cls([value for plan in plans for value in plan.values], next(restarts, None), addons)


async def plan_path(work: Work) -> Planned:
    """Plan the hop of the Work, every later one, and what follows them; an Error ends the planning."""
    phases = await plan_phases(HOP_PHASES, work)
    findings = [finding for plan in phases for finding in plan.findings]
    hops = [work]
    while len(hops[-1].hops) > 1 and not _has_error(findings):
        hop = later_hop(hops[-1])
        hops.append(hop)
        later = [finding for plan in await plan_phases(LATER_PHASES, hop) for finding in plan.findings]
        findings += _news(later, findings, f"{LATER}{hop.version}: ")
    if not _has_error(findings):
        # What follows is planned for the release that comes last, and sees what is served now.
        afterwards = await plan_phases(ONCE_PHASES, replace(hops[-1], crd_reads=work.crd_reads))
        findings += [finding for plan in afterwards for finding in plan.findings]
        phases += afterwards
    work.risks = frozenset(finding.name for finding in findings if finding.severity is Severity.RISK)
    return Planned(findings, phases, hops)


async def plan_phases(phases: Sequence[PhaseModule], work: Work) -> list[PhasePlan]:
    """Give what each phase would do; what the account may not look at is a finding, and an Error is the last."""
    plans: list[PhasePlan] = []
    for phase in phases:
        try:
            plan = await phase.plan(work)
        except Forbidden as error:
            plan = PhasePlan([_forbidden(phase, error)])
        plans.append(plan)
        if _has_error(plan.findings):
            break
    return plans


def _has_error(findings: Sequence[Finding]) -> bool:
    return any(finding.severity is Severity.ERROR for finding in findings)


def _news(later: Sequence[Finding], known: Sequence[Finding], prefix: str) -> list[Finding]:
    """Give what is found of a later hop only, and say so."""
    seen = {(finding.name, finding.message) for finding in known}
    return [
        Finding.model_validate({**finding.model_dump(), "message": f"{prefix}{finding.message}"})
        for finding in later
        if (finding.name, finding.message) not in seen
    ]


def _forbidden(phase: PhaseModule, error: Forbidden) -> Finding:
    return Finding(
        name=FindingName.FORBIDDEN,
        severity=Severity.ERROR,
        phase=phase.name,
        message=error.message,
        remedy="Give the operator's account the right that is named.",
    )
