"""One run: a MeshUpgrade taken from where it is, through the phases, as far as it goes.

Nothing is remembered between two runs but the object's own status. Each run reads the world, decides (plan), and only
then writes (apply), so a run that died anywhere is simply run again.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from meshupgrade.api.v1alpha1.conditions import AnyReason, Reason
from meshupgrade.api.v1alpha1.findings import Finding, FindingName, Severity
from meshupgrade.api.v1alpha1.spec import MeshUpgradeSpec
from meshupgrade.api.v1alpha1.status import Attempts, Phase
from meshupgrade.distributions import load_distribution
from meshupgrade.domain.state import State, after_failure, backoff
from meshupgrade.domain.versions import parse_version
from meshupgrade.engine.digest import input_digest
from meshupgrade.engine.finalizer import remove_finalizer, set_finalizer
from meshupgrade.engine.objects import requested_at, spec_errors
from meshupgrade.engine.recovery import unlock_own
from meshupgrade.engine.report import Report
from meshupgrade.engine.status import StatusWriter
from meshupgrade.helm.errors import HelmTimedOut, HelmUnreachable
from meshupgrade.helm.release import ReleaseStatus
from meshupgrade.helm.repository import RepositoryUnreachable
from meshupgrade.kube.errors import Forbidden, KubeError, Unreachable
from meshupgrade.kube.readiness import Readiness, observe_readiness, workload_refs
from meshupgrade.oci import OCIError
from meshupgrade.phases import PHASES
from meshupgrade.phases.fit import release_fits
from meshupgrade.phases.shape import Busy, PhaseFailed, PhaseModule, PhasePlan, Superseded, Tools, Work

__all__ = ["Run"]

RECHECK = {State.COMPLETED: 600.0, State.FAILED: 600.0, State.REFUSED: 60.0, State.INVALID: 600.0}
"""Seconds until a mesh at rest is looked at again."""

BUSY_PAUSE = 5.0
"""Seconds between two looks at a release that somebody else works on."""

TRANSIENT = (Unreachable, HelmUnreachable, HelmTimedOut, RepositoryUnreachable, OCIError)
"""What is worth another try without anybody changing anything; counts against no budget.

Of an image, what is not transient is a finding of Preflight and does not come this far.
"""

AT_REST_PHASES = (Phase.MESH_CONFIG, Phase.DATA_PLANE, Phase.ADDONS)
"""The phases that are still looked at while the release is what the spec asks for."""


class Run:
    """One run for one object."""

    def __init__(self, tools: Tools, obj: Mapping[str, Any], kubernetes_version: str, failures: int) -> None:
        self._tools = tools
        self._obj = obj
        self._writer = StatusWriter(tools.kube, obj)
        self._report = Report(self._writer)
        self._kubernetes_version = kubernetes_version
        self._failures = failures
        self.superseded = False
        """Set from outside when the spec changed meanwhile."""

        self.transient = False
        """Whether the run ended because something did not answer."""

    async def go(self) -> float:
        """Run, and give the seconds until the next run is due. Raises ObjectGone and Unreachable."""
        try:
            spec = MeshUpgradeSpec.model_validate(self._obj["spec"])
            parse_version(spec.version)
        except ValidationError as error:
            return await self._invalid(spec_errors(error))
        except ValueError as error:
            return await self._invalid(f"spec.version: {error}")
        work = self._work(spec)
        resumed = await self._report.begun(work, requested_at(self._obj), self._kubernetes_version)
        try:
            return await self._advance(work, resumed=resumed)
        except Superseded:
            return 0.0
        except Busy as error:
            await self._report.retrying(Reason.PENDING, str(error))
            return BUSY_PAUSE
        except TRANSIENT as error:
            self.transient = True
            pause = backoff(self._failures + 1)
            await self._report.retrying(Reason.UNREACHABLE, f"{error}; tried again in {pause:.0f} s")
            return pause
        except PhaseFailed as error:
            return await self._fail(work, error.reason, str(error))
        except KubeError as error:
            return await self._fail(work, Reason.API_REJECTED, str(error))

    async def show_defect(self) -> None:
        """Tell the user that the operator itself failed."""
        await self._report.defect()

    async def _advance(self, work: Work, *, resumed: bool) -> float:
        await self._observe(work)
        if self._budget_is_spent(work):
            await self._report.unchanged()
            return await self._rest(work, State.FAILED)
        if resumed and self._report.ready() and release_fits(work):
            return await self._look_after(work)
        findings, plans = await self._plan(work)
        blocking = await self._report.planned(work, findings)
        if not blocking:
            return await self._apply(work, plans)
        if self._report.under_way(work):
            # Half-way and cannot go on: that is a failed attempt, not a refusal.
            raise PhaseFailed(blocking[0].name, f"{blocking[0].message}. {blocking[0].remedy}")
        await self._report.refused(blocking)
        return await self._rest(work, State.REFUSED)

    def _work(self, spec: MeshUpgradeSpec) -> Work:
        return Work(
            tools=self._tools,
            namespace=str(self._writer.ref.namespace),
            uid=self._writer.uid,
            generation=self._writer.generation,
            spec=spec,
            distribution=load_distribution(spec.mesh.distribution),
            report=self._report.progress,
            helm_started=self._report.helm_started,
            superseded=lambda: self.superseded or self._writer.changed_meanwhile,
        )

    async def _observe(self, work: Work) -> None:
        """Read the release, unlock it when it is ours and abandoned, and see whether the mesh is healthy."""
        storage = work.storage
        work.revisions = await storage.revisions()
        if not work.revisions:
            self._report.observed(work, None)
            return
        if await unlock_own(storage, work.revisions[0], self._report.status.helm_process, work.uid):
            work.revisions = await storage.revisions()
        deployed = (stored for stored in work.revisions if stored.status is ReleaseStatus.DEPLOYED)
        work.live = await storage.read(next(deployed, work.revisions[0]).revision)
        self._report.observed(work, await _readiness(work))

    def _budget_is_spent(self, work: Work) -> bool:
        attempts = self._report.status.attempts
        return (
            attempts is not None
            and attempts.input_digest == self._digest()
            and after_failure(attempts.count, work.spec.upgrade.retries) is State.FAILED
        )

    async def _plan(self, work: Work) -> tuple[list[Finding], list[PhasePlan]]:
        """Plan every phase before the first write; an Error keeps the later phases from planning."""
        findings: list[Finding] = []
        plans: list[PhasePlan] = []
        for phase in PHASES:
            try:
                plan = await phase.plan(work)
            except Forbidden as error:
                plan = PhasePlan([_forbidden(phase, error)])
            plans.append(plan)
            findings += plan.findings
            if any(finding.severity is Severity.ERROR for finding in plan.findings):
                break
        return findings, plans

    async def _apply(self, work: Work, plans: Sequence[PhasePlan]) -> float:
        if any(plan.changes for plan in plans):
            await self._report.opened(work)
            await set_finalizer(work.tools.kube, self._writer.ref, work.uid)
        else:
            self._report.reopened(work)
        for phase in PHASES:
            await self._report.phase_begun(phase, work)
            outcome = await phase.apply(work)
            self._report.phase_done(phase, work, outcome)
            if phase.name is Phase.CONTROL_PLANE:
                self._report.verified(work)
                self._report.observed(work, await _readiness(work))
        self._report.counted(work)
        superseded = work.superseded()
        await self._report.completed(work, superseded=superseded)
        rest = await self._rest(work, State.COMPLETED)
        return 0.0 if superseded else rest

    async def _look_after(self, work: Work) -> float:
        """Look after a mesh at rest: keep the MeshConfig as the spec says, and count again."""
        for phase in PHASES:
            if phase.name in AT_REST_PHASES:
                self._report.looked_after(phase, await phase.apply(work))
        self._report.counted(work)
        await self._report.unchanged()
        return await self._rest(work, State.COMPLETED)

    async def _rest(self, work: Work, state: State) -> float:
        """Let go of the object: at rest nothing holds up its deletion."""
        await remove_finalizer(work.tools.kube, self._writer.ref, work.uid)
        return RECHECK[state]

    async def _fail(self, work: Work, reason: AnyReason, message: str) -> float:
        """Count a failed attempt; try again later, or stop when the budget is spent."""
        before, digest = self._report.status.attempts, self._digest()
        count = before.count + 1 if before is not None and before.input_digest == digest else 1
        attempts = Attempts(input_digest=digest, count=count, reason=reason, message=message[:4000])
        retries = work.spec.upgrade.retries
        if after_failure(count, retries) is State.FAILED:
            await self._report.failed(attempts, reason, None, retries + 1)
            return await self._rest(work, State.FAILED)
        pause = backoff(count)
        await self._report.failed(attempts, reason, pause, retries + 1)
        return pause

    async def _invalid(self, message: str) -> float:
        await self._report.invalid(message)
        return RECHECK[State.INVALID]

    def _digest(self) -> str:
        return input_digest(dict(self._obj["spec"]), requested_at(self._obj))


async def _readiness(work: Work) -> Readiness:
    assert work.live is not None
    return await observe_readiness(work.tools.kube, workload_refs(work.live.objects(), work.namespace))


def _forbidden(phase: PhaseModule, error: Forbidden) -> Finding:
    return Finding(
        name=FindingName.FORBIDDEN,
        severity=Severity.ERROR,
        phase=phase.name,
        message=error.message,
        remedy="Give the operator's account the right that is named.",
    )
