"""One run: a MeshUpgrade taken from where it is, through the phases, as far as it goes.

Nothing is remembered between two runs but the object's own status. Each run reads the world, decides (plan), and only
then writes (apply), so a run that died anywhere is simply run again.
"""

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from pydantic import ValidationError

from meshupgrade.api.v1alpha1.conditions import AnyReason, ConditionStatus, ConditionType, Reason
from meshupgrade.api.v1alpha1.findings import Finding, FindingName, Severity
from meshupgrade.api.v1alpha1.spec import MeshUpgradeSpec
from meshupgrade.api.v1alpha1.status import Attempts, HelmProcess, HistoryState, Phase
from meshupgrade.distributions import load_distribution
from meshupgrade.domain.state import State, after_failure, backoff
from meshupgrade.domain.versions import parse_version
from meshupgrade.engine import history
from meshupgrade.engine.digest import input_digest
from meshupgrade.engine.finalizer import remove_finalizer, set_finalizer
from meshupgrade.engine.objects import requested_at, spec_errors
from meshupgrade.engine.recovery import unlock_own
from meshupgrade.engine.status import StatusWriter, heaviest_first, now
from meshupgrade.helm.errors import HelmTimedOut, HelmUnreachable
from meshupgrade.helm.process import Child, boot_id
from meshupgrade.helm.release import ReleaseStatus
from meshupgrade.helm.repository import RepositoryUnreachable
from meshupgrade.kube.errors import ApiStatusError, Forbidden, KubeError, Unreachable
from meshupgrade.kube.readiness import observe_readiness, workload_refs
from meshupgrade.oci import RegistryUnreachable
from meshupgrade.phases import PHASES
from meshupgrade.phases.fit import release_fits
from meshupgrade.phases.shape import Busy, PhaseFailed, PhaseModule, PhasePlan, Superseded, Tools, Work

__all__ = ["Run"]

RECHECK = {State.COMPLETED: 600.0, State.FAILED: 600.0, State.REFUSED: 60.0, State.INVALID: 600.0}
"""Seconds until a mesh at rest is looked at again."""

BUSY_PAUSE = 5.0
"""Seconds between two looks at a release that somebody else works on."""

PROGRESS_PAUSE = 2.0
"""Seconds between two writes of mere progress, unless it says something new."""

TRANSIENT = (Unreachable, HelmUnreachable, HelmTimedOut, RepositoryUnreachable, RegistryUnreachable)
"""What is worth another try without anybody changing anything; counts against no budget."""

AT_REST_PHASES = (Phase.MESH_CONFIG, Phase.DATA_PLANE, Phase.ADDONS)
"""The phases that are still looked at while the release is what the spec asks for."""


class Run:
    """One run for one object."""

    def __init__(self, tools: Tools, obj: Mapping[str, Any], kubernetes_version: str, failures: int) -> None:
        self._tools = tools
        self._obj = obj
        self._writer = StatusWriter(tools.kube, obj)
        self._kubernetes_version = kubernetes_version
        self._failures = failures
        self._reported = 0.0
        self._phase: PhaseModule | None = None
        self.superseded = False
        """Set from outside when the spec changed meanwhile."""

        self.transient = False
        """Whether the run ended because something did not answer."""

    async def go(self) -> float | None:
        """Run, and give the seconds until the next run is due. Raises ObjectGone and Unreachable."""
        try:
            spec = MeshUpgradeSpec.model_validate(self._obj["spec"])
            parse_version(spec.version)
        except ValidationError as error:
            return await self._invalid(spec_errors(error))
        except ValueError as error:
            return await self._invalid(f"spec.version: {error}")
        work = self._work(spec)
        resumed = await self._begin(work)
        try:
            await self._observe(work)
            if self._spent(work):
                return await self._rest(work, State.FAILED)
            if resumed and self._settled(work):
                return await self._look_after(work)
            findings, plans = await self._plan(work)
            blocking = await self._show_findings(work, findings)
            if blocking is None:
                return await self._apply(work, plans)
            if history.under_way(self._writer.status.history, _target(work)):
                # Half-way and cannot go on: that is a failed attempt, not a refusal.
                raise PhaseFailed(blocking.name, f"{blocking.message}. {blocking.remedy}")
            return await self._refuse(work, blocking)
        except Superseded:
            return 0.0
        except Busy as error:
            return await self._retry(Reason.PENDING, str(error), BUSY_PAUSE)
        except TRANSIENT as error:
            self.transient = True
            pause = backoff(self._failures + 1)
            return await self._retry(Reason.UNREACHABLE, f"{error}; tried again in {pause:.0f} s", pause)
        except PhaseFailed as error:
            return await self._fail(work, error.reason, str(error))
        except KubeError as error:
            return await self._fail(work, Reason.API_REJECTED, str(error))

    # Beginning and looking

    def _work(self, spec: MeshUpgradeSpec) -> Work:
        return Work(
            tools=self._tools,
            namespace=str(self._writer.ref.namespace),
            uid=self._writer.uid,
            generation=self._writer.generation,
            spec=spec,
            distribution=load_distribution(spec.mesh.distribution),
            report=self._report,
            helm_started=self._helm_started,
            superseded=lambda: self.superseded or self._writer.changed_meanwhile,
        )

    async def _begin(self, work: Work) -> bool:
        """Show a new generation or request as being worked on; tell whether this one was seen before."""
        status, token = self._writer.status, requested_at(self._obj)
        seen = status.observed_generation == work.generation and status.last_handled_reconcile_at == token
        self._writer.update(
            observed_generation=work.generation,
            target_version=_target(work),
            last_handled_reconcile_at=token,
            kubernetes_version=self._kubernetes_version,
        )
        if seen and status.phase is not None:
            return True
        for phase in PHASES:
            self._writer.condition(phase.condition, "Unknown", Reason.PENDING, "not begun")
        self._writer.update(phase=Phase.PENDING, findings=[], hops=[])
        self._writer.show(State.RUNNING, f"looking at what the upgrade to {_target(work)} needs")
        if self._writer.get(ConditionType.AVAILABLE) is None:
            self._writer.condition(ConditionType.AVAILABLE, "Unknown", Reason.NOT_OBSERVED, "not looked at yet")
        await self._writer.write()
        return False

    async def _observe(self, work: Work) -> None:
        """Read the release, unlock it when it is ours and abandoned, and see whether the mesh is healthy."""
        storage = work.storage
        work.revisions = await storage.revisions()
        if not work.revisions:
            self._writer.condition(
                ConditionType.AVAILABLE, "False", FindingName.RELEASE_NOT_FOUND, f"there is no release {work.release}"
            )
            return
        if await unlock_own(storage, work.revisions[0], self._writer.status.helm_process, work.uid):
            work.revisions = await storage.revisions()
        self._writer.update(helm_process=None)
        deployed = (stored for stored in work.revisions if stored.status is ReleaseStatus.DEPLOYED)
        work.live = await storage.read(next(deployed, work.revisions[0]).revision)
        self._writer.update(current_version=str(work.current_version()))
        await self._show_available(work)

    async def _show_available(self, work: Work) -> None:
        assert work.live is not None
        refs = workload_refs(work.live.objects(), work.namespace)
        readiness = await observe_readiness(work.tools.kube, refs)
        self._writer.condition(
            ConditionType.AVAILABLE,
            "True" if readiness.ready else "False",
            Reason.HEALTHY if readiness.ready else Reason.UNHEALTHY,
            f"{work.release} {work.live.chart_version}: {readiness.summary()}",
        )

    def _spent(self, work: Work) -> bool:
        attempts = self._writer.status.attempts
        return (
            attempts is not None
            and attempts.input_digest == self._digest()
            and after_failure(attempts.count, work.spec.upgrade.retries) is State.FAILED
        )

    def _settled(self, work: Work) -> bool:
        """Tell whether the release is what the spec asks for, and was verified to be."""
        ready = self._writer.get(ConditionType.READY)
        return ready is not None and ready.status == "True" and release_fits(work)

    # Planning

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
        self._writer.update(hops=list(work.hops))
        return findings, plans

    async def _show_findings(self, work: Work, findings: Sequence[Finding]) -> Finding | None:
        """Put the findings into the status and give the first that refuses the upgrade."""
        self._writer.findings(findings)
        accepted = frozenset(work.spec.upgrade.accept_risks)
        blocking = heaviest_first([finding for finding in findings if finding.blocks(accepted)])
        on_path = [finding for finding in blocking if finding.phase == Phase.PATH]
        if on_path:
            self._writer.condition(
                ConditionType.PATH_VALIDATED, "False", on_path[0].name, f"{on_path[0].message}. {on_path[0].remedy}"
            )
        else:
            path = await PHASES[0].apply(work)
            self._writer.condition(ConditionType.PATH_VALIDATED, path.status, path.reason, path.message)
        later = [finding for finding in blocking if finding.phase != Phase.PATH]
        if later:
            listed = " ".join(f"{finding.message}. {finding.remedy}" for finding in later)
            self._writer.condition(ConditionType.PREFLIGHT_PASSED, "False", later[0].name, listed)
        return blocking[0] if blocking else None

    # Writing

    async def _apply(self, work: Work, plans: Sequence[PhasePlan]) -> float:
        if any(plan.changes for plan in plans):
            await self._open_history(work)
            await set_finalizer(work.tools.kube, self._writer.ref, work.uid)
        for phase in PHASES:
            await self._apply_phase(phase, work)
        return await self._complete(work)

    async def _open_history(self, work: Work) -> None:
        """Write down that an upgrade begins before anything of the mesh is written."""
        target = work.need_target()
        self._writer.update(
            history=history.begin(
                self._writer.status.history,
                _target(work),
                from_=str(work.current_version()),
                started_time=now(),
                chart_digest=target.chart_digest,
                crd_digest=target.crd_digest,
                accepted_risks=[
                    finding.name for finding in self._writer.status.findings if finding.severity is Severity.RISK
                ],
            )
        )
        await self._writer.write()

    async def _apply_phase(self, phase: PhaseModule, work: Work) -> None:
        self._phase, self._reported = phase, 0.0
        began = time.monotonic()
        self._writer.update(phase=phase.name)
        self._writer.condition(phase.condition, "Unknown", Reason.IN_PROGRESS, "begun")
        self._writer.show(State.RUNNING, f"{phase.name}: upgrade to {_target(work)} under way")
        await self._writer.write()
        outcome = await phase.apply(work)
        self._writer.condition(phase.condition, outcome.status, outcome.reason, outcome.message)
        self._phase = None
        if history.under_way(self._writer.status.history, _target(work)):
            self._writer.update(
                history=history.with_duration(self._writer.status.history, phase.name, time.monotonic() - began)
            )
        if phase.name is Phase.CONTROL_PLANE:
            self._show_verified(work)
            await self._show_available(work)
        if work.data_plane is not None:
            self._writer.update(data_plane=work.data_plane)

    def _show_verified(self, work: Work) -> None:
        """Record the revision as good: its workloads were seen ready."""
        self._writer.update(helm_process=None, current_version=str(work.current_version()))
        if history.under_way(self._writer.status.history, _target(work)):
            self._writer.update(
                history=history.change_newest(self._writer.status.history, revision=work.revision, verified=True)
            )

    async def _report(self, message: str) -> None:
        """Show progress of the phase that runs; the same words, or new ones too soon, are not written."""
        if self._phase is None:
            return
        shown = self._writer.get(self._phase.condition)
        at = time.monotonic()
        if (shown is not None and shown.message == message) or at - self._reported < PROGRESS_PAUSE:
            return
        self._reported = at
        self._writer.condition(self._phase.condition, "Unknown", Reason.IN_PROGRESS, message)
        self._writer.show(State.RUNNING, f"{self._phase.name}: {message}")
        await self._writer.write()

    async def _helm_started(self, revision: int, child: Child, seconds: float) -> None:
        self._writer.update(
            helm_process=HelmProcess(
                revision=revision,
                host=boot_id(),
                pid=child.pid,
                started_ticks=child.started_ticks,
                deadline=now() + timedelta(seconds=seconds),
            )
        )
        await self._writer.write()

    # Ends of a run

    async def _complete(self, work: Work) -> float:
        status = self._writer.status
        if history.under_way(status.history, _target(work)):
            self._writer.update(
                history=history.change_newest(status.history, state=HistoryState.COMPLETED, completion_time=now())
            )
        self._writer.update(attempts=None)
        if work.superseded():
            # Ready would speak of a spec that is no more; the next run begins with the new one.
            await self._writer.write()
            return 0.0
        self._writer.show(State.COMPLETED, f"the mesh runs {work.current_version()}")
        return await self._rest(work, State.COMPLETED)

    async def _look_after(self, work: Work) -> float:
        """At rest: keep the MeshConfig as the spec says, and count again."""
        for phase in PHASES:
            if phase.name in AT_REST_PHASES:
                outcome = await phase.apply(work)
                self._writer.condition(phase.condition, outcome.status, outcome.reason, outcome.message)
        if work.data_plane is not None:
            self._writer.update(data_plane=work.data_plane)
        return await self._rest(work, State.COMPLETED)

    async def _refuse(self, work: Work, blocking: Finding) -> float:
        text = f"{blocking.message}. {blocking.remedy} Nothing was changed."
        self._writer.show(State.REFUSED, text, blocking.name)
        return await self._rest(work, State.REFUSED)

    async def _rest(self, work: Work, state: State) -> float:
        """Write the status, then let go of the object: at rest nothing holds up its deletion."""
        await self._writer.write()
        await remove_finalizer(work.tools.kube, self._writer.ref, work.uid)
        return RECHECK[state]

    async def _retry(self, reason: Reason, message: str, pause: float) -> float:
        self._show_phase("Unknown", reason, message)
        self._writer.show(State.RETRYING, message)
        await self._writer.write()
        return pause

    async def _fail(self, work: Work, reason: AnyReason, message: str) -> float:
        """Count a failed attempt; try again later, or stop when the budget is spent."""
        before = self._writer.status.attempts
        count = before.count + 1 if before is not None and before.input_digest == self._digest() else 1
        retries = work.spec.upgrade.retries
        state = after_failure(count, retries)
        self._writer.update(
            attempts=Attempts(input_digest=self._digest(), count=count, reason=reason, message=message[:4096]),
            helm_process=None,
        )
        self._show_phase("False", reason, message)
        if state is State.FAILED:
            self._writer.update(
                history=history.change_newest(
                    self._writer.status.history, state=HistoryState.FAILED, completion_time=now()
                )
                if history.under_way(self._writer.status.history, _target(work))
                else self._writer.status.history
            )
            text = (
                f"{message}. Gave up after {count} attempts; change the spec, or annotate the object with a new value "
                "of meshupgrade.io/reconcile-requested-at to try again"
            )
            self._writer.show(state, text)
            return await self._rest(work, state)
        pause = backoff(count)
        self._writer.show(state, f"{message}. Attempt {count} of {retries + 1} failed, the next is in {pause:.0f} s")
        await self._writer.write()
        return pause

    def _show_phase(self, status: ConditionStatus, reason: AnyReason, message: str) -> None:
        if self._phase is not None:
            self._writer.condition(self._phase.condition, status, reason, message)

    async def show_defect(self) -> None:
        """Say that the operator itself failed; what of it is for developers stands in its log."""
        self._show_phase("Unknown", Reason.INTERNAL_ERROR, "the operator failed here")
        self._writer.show(State.RETRYING, "a defect in the operator; its log tells of it, and it is tried again")
        await self._writer.write()

    async def _invalid(self, message: str) -> float:
        self._writer.update(observed_generation=self._writer.generation)
        self._writer.show(State.INVALID, message)
        await self._writer.write()
        return RECHECK[State.INVALID]

    def _digest(self) -> str:
        return input_digest(dict(self._obj["spec"]), requested_at(self._obj))


def _target(work: Work) -> str:
    return str(parse_version(work.spec.version))


def _forbidden(phase: PhaseModule, error: ApiStatusError) -> Finding:
    return Finding(
        name=FindingName.FORBIDDEN,
        severity=Severity.ERROR,
        phase=phase.name,
        message=error.message[:2000],
        remedy="Give the operator's account the right that is named.",
    )
