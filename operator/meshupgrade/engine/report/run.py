"""What a run tells, from its first look at the object to its end."""

from meshupgrade.api.v1alpha1.conditions import ConditionType, Reason
from meshupgrade.api.v1alpha1.findings import FindingName
from meshupgrade.api.v1alpha1.status import (
    Phase,
)
from meshupgrade.domain.drift_told import Told
from meshupgrade.domain.state import State
from meshupgrade.engine.report.rollback import RollbackReport
from meshupgrade.kube.events import Event, write_events
from meshupgrade.kube.readiness import Readiness
from meshupgrade.phases import PHASES
from meshupgrade.phases.shape import Work

__all__ = ["Report"]


def _goal_of(work: Work) -> str:
    """Give the version to reach, without a leading v; as the spec has it while it is not resolved."""
    return str(work.goal or work.wanted.exact or work.spec.version)


class Report(RollbackReport):
    """Tells of one run. Every call raises ObjectGone when the object is no more."""

    def ready(self) -> bool:
        """Tell whether Ready was True when the run began."""
        condition = self._writer.get(ConditionType.READY)
        return condition is not None and condition.status == "True"

    async def begun(self, work: Work, token: str | None, kubernetes_version: str) -> bool:
        """Show a new generation, or a new request, as worked on; tell whether this one was seen before."""
        before = self.status
        seen = before.observed_generation == work.generation and before.last_handled_reconcile_at == token
        self._writer.update(
            observed_generation=work.generation,
            target_version=str(work.wanted.exact) if work.wanted.exact is not None else before.target_version,
            last_handled_reconcile_at=token,
            kubernetes_version=kubernetes_version,
        )
        if seen and before.phase is not None:
            return True
        self._begin_anew(f"looking at what the upgrade to {_goal_of(work)} needs")
        if self._writer.get(ConditionType.AVAILABLE) is None:
            self._writer.condition(ConditionType.AVAILABLE, "Unknown", Reason.NOT_OBSERVED, "not looked at yet")
        await self._writer.write()
        return False

    def _begin_anew(self, message: str) -> None:
        for phase in PHASES:
            self._writer.condition(phase.condition, "Unknown", Reason.PENDING, "not begun")
        self._writer.drop(ConditionType.ROLLED_BACK, ConditionType.DRIFTED)
        self._writer.update(phase=Phase.PENDING, findings=[], hops=[])
        self._writer.show(State.RUNNING, message)

    def resolved(self, work: Work) -> bool:
        """Put in the version to reach; tell whether it is the one of before."""
        before, goal = self.status.target_version, _goal_of(work)
        self._writer.update(target_version=goal)
        if before in (None, goal):
            return True
        self._begin_anew(f"{work.spec.version} has come to {goal}: looking at what the upgrade needs")
        return False

    def observed(self, work: Work, readiness: Readiness | None) -> None:
        """Put in what runs, and how it is; None for no release at all."""
        if work.live is None or readiness is None:
            self._writer.condition(
                ConditionType.AVAILABLE, "False", FindingName.RELEASE_NOT_FOUND, f"there is no release {work.release}"
            )
            return
        self._healthy = readiness.ready
        self._writer.update(helm_process=None, current_version=str(work.current_version()))
        self._writer.condition(
            ConditionType.AVAILABLE,
            "True" if readiness.ready else "False",
            Reason.HEALTHY if readiness.ready else Reason.UNHEALTHY,
            f"{work.release} {work.live.chart_version}: {readiness.summary()}",
        )

    def counted(self, work: Work) -> None:
        """Put in the counts of the data plane, when they were taken."""
        if work.data_plane is not None:
            self._writer.update(data_plane=work.data_plane)

    async def drift(self, work: Work, told: Told | None) -> None:
        """Put in what is told of drift, with an event for news; what was put back is told until the spec changes."""
        before = self._writer.get(ConditionType.DRIFTED)
        if told is None:
            if before is not None and before.status != "False":
                self._writer.drop(ConditionType.DRIFTED)
            return
        message = work.tools.secrets.scrub(told.message)[:4096]
        self._writer.condition(ConditionType.DRIFTED, told.status, told.reason, message)
        if before is None or before.message != message:
            events = [Event(told.reason, message, warning=told.status != "False")]
            await write_events(work.tools.kube, self._writer.ref, self._writer.uid, self._writer.generation, events)

    def has_drifted(self) -> bool:
        """Tell whether something is not as the release says."""
        condition = self._writer.get(ConditionType.DRIFTED)
        return condition is not None and condition.status == "True"

    async def invalid(self, message: str) -> None:
        """Show a spec that fits the CRD and yet cannot be read."""
        self._writer.update(observed_generation=self._writer.generation)
        self._writer.show(State.INVALID, message)
        await self._writer.write()

    async def defect(self) -> None:
        """Say that the operator itself failed; what of it is for developers stands in its log."""
        self._phase_ended("Unknown", Reason.INTERNAL_ERROR, "the operator failed here")
        self._writer.show(State.RETRYING, "a defect in the operator; its log tells of it, and it is tried again")
        await self._writer.write()

    async def unchanged(self) -> None:
        """Write what was seen, and leave the state as it is."""
        await self._writer.write()
