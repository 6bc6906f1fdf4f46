"""What a run tells of its plan, and of what keeps that from being carried out."""

from collections.abc import Callable, Sequence

from meshupgrade.api.v1alpha1.conditions import ConditionType, Reason
from meshupgrade.api.v1alpha1.findings import Finding, Severity
from meshupgrade.api.v1alpha1.names import APPROVED_PLAN
from meshupgrade.api.v1alpha1.plan import AvailableVersion, Plan
from meshupgrade.api.v1alpha1.status import (
    Phase,
)
from meshupgrade.domain.plans import summarize
from meshupgrade.domain.state import State
from meshupgrade.engine.report.phases import PhaseReport
from meshupgrade.engine.status import heaviest_first
from meshupgrade.kube.events import Event, write_events
from meshupgrade.phases import PHASES
from meshupgrade.phases.shape import Work

__all__ = ["PlanReport", "finding_events"]


class PlanReport(PhaseReport):
    """Tells what was found, what would be done, and what is waited for before it is."""

    async def planned(self, work: Work, findings: Sequence[Finding]) -> list[Finding]:
        """Put in what was found, and give what of it refuses the upgrade, Errors before Risks.

        What was not found before is told by events as well.
        """
        self._writer.update(hops=[str(hop) for hop in work.hops])
        if work.available is not None:
            self.listed(work.available)
        accepted = frozenset(work.spec.upgrade.accept_risks)
        before = self.status.findings
        self._writer.findings(findings)
        new = [finding for finding in self.status.findings if finding not in before]
        events = finding_events(new, accepted, work.tools.secrets.scrub)
        await write_events(work.tools.kube, self._writer.ref, self._writer.uid, self._writer.generation, events)
        blocking = heaviest_first([finding for finding in findings if finding.blocks(accepted)])
        on_path = [finding for finding in blocking if finding.phase == Phase.PATH]
        later = [finding for finding in blocking if finding.phase != Phase.PATH]
        if on_path:
            self._writer.condition(ConditionType.PATH_VALIDATED, "False", on_path[0].name, _told(on_path))
        else:
            self._outcome(PHASES[0], await PHASES[0].apply(work))
        if later:
            self._writer.condition(ConditionType.PREFLIGHT_PASSED, "False", later[0].name, _told(later))
        return blocking

    def listed(self, available: Sequence[AvailableVersion]) -> None:
        """Put in what the repository lists, and what the policy says of it."""
        self._writer.update(available_versions=list(available))

    def goes_on(self, plan: Plan, inputs: str) -> bool:
        """Tell whether a plan is the rest of the one that was approved and begun, with the same charts."""
        before = self.status.plan
        if before is None or not before.approved or before.inputs != inputs:
            return False
        if before.current == plan.current:
            return before.carried and before.digest == plan.digest
        approved = dict(zip(before.hops, before.charts, strict=False))
        return plan.current in approved and all(approved.get(hop.version) == hop.chart_digest for hop in plan.hops)

    def has_plan(self, plan: Plan, *, secret: str, inputs: str, approved: bool, carried: bool) -> None:
        """Put in the plan, in short."""
        self._writer.update(plan=summarize(plan, secret=secret, inputs=inputs, approved=approved, carried=carried))

    def approved(self) -> bool:
        """Tell whether the plan may be carried out."""
        return self.status.plan is not None and self.status.plan.approved

    async def waiting_for_turn(self, most: int | None) -> None:
        """Show that as many upgrades run as may run at once."""
        self._writer.show(State.RUNNING, f"waits for its turn: {most} upgrades run, which are all that may at once")
        await self._writer.write()

    async def held(self, state: State, why: str) -> None:
        """Show that nothing is done for now, at the wish of the spec or of the whole cluster's admins."""
        self._phase_ended("Unknown", Reason.PENDING, why)
        self._writer.show(state, why)
        await self._writer.write()

    async def only_planned(self, plan: Plan | None, blocking: Sequence[Finding]) -> None:
        """Show the plan as made, and nothing else as done."""
        if plan is not None and not plan.changes():
            text = f"the mesh is as the spec says, at {plan.target}; there is nothing to do"
        elif blocking or plan is None:
            text = f"the upgrade would be refused: {_told(blocking[:1])}"
        else:
            text = f"plan {plan.digest} is made: {' → '.join([plan.current, *(hop.version for hop in plan.hops)])}"
        self._writer.show(State.PLANNED, f"{text}. spec.mode is Plan: nothing was changed")
        await self._writer.write()

    async def awaiting_approval(self, plan: Plan, approved: str) -> None:
        """Show that a person has to approve, and how."""
        moved = (
            f" The annotation approves {approved}, which is not the plan of now: what it would change has moved."
            * bool(approved)
        )
        self._writer.show(
            State.AWAITING_APPROVAL,
            f"plan {plan.digest} waits for approval.{moved} To approve it: kubectl annotate --overwrite meshupgrade "
            f"{self._writer.ref.name} --namespace {plan.namespace} {APPROVED_PLAN}={plan.digest}",
        )
        await self._writer.write()

    async def refused(self, blocking: Sequence[Finding]) -> None:
        """Show the upgrade as refused before anything was changed, for the first of what speaks against it."""
        # A plan of before would look as if it could still be approved.
        self._writer.update(plan=None)
        more = f" {len(blocking) - 1} more findings refuse it, see status.findings." if len(blocking) > 1 else ""
        self._writer.show(State.REFUSED, f"{_told(blocking[:1])}{more} Nothing was changed.", blocking[0].name)
        await self._writer.write()


def finding_events(findings: Sequence[Finding], accepted: frozenset[str], scrub: Callable[[str], str]) -> list[Event]:
    """Give the events for findings: a person has to look at all but those that only tell, and at no accepted Risk."""
    return [
        Event(finding.name, scrub(f"{finding.message}. {finding.remedy}".strip()), finding.name not in accepted)
        for finding in findings
        if finding.severity is not Severity.INFO
    ]


def _told(findings: Sequence[Finding]) -> str:
    return " ".join(f"{finding.message}. {finding.remedy}" for finding in findings)
