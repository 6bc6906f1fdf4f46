"""What a run tells: each step of it put into conditions, findings, attempts and history, and written at once."""

import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

from meshupgrade.api.v1alpha1.conditions import AnyReason, ConditionStatus, ConditionType, Reason
from meshupgrade.api.v1alpha1.findings import Finding, FindingName, Severity
from meshupgrade.api.v1alpha1.names import APPROVED_PLAN
from meshupgrade.api.v1alpha1.plan import AvailableVersion, Plan
from meshupgrade.api.v1alpha1.spec import ValuesPolicy
from meshupgrade.api.v1alpha1.status import (
    MAX_POINTER,
    MAX_VALUES_SET,
    Attempts,
    DataPlaneStatus,
    HelmProcess,
    HistoryAction,
    HistoryEntry,
    HistoryState,
    MeshUpgradeStatus,
    Phase,
    Remediation,
    RestartStatus,
    StorageMigration,
)
from meshupgrade.domain.drift_told import Told
from meshupgrade.domain.merge import leaf_paths
from meshupgrade.domain.plans import summarize
from meshupgrade.domain.state import State
from meshupgrade.domain.values import to_pointer
from meshupgrade.engine import history
from meshupgrade.engine.mesh_config_history import snapshot_name
from meshupgrade.engine.status import StatusWriter, heaviest_first, now
from meshupgrade.helm.process import Child, boot_id
from meshupgrade.kube.events import Event, write_events
from meshupgrade.kube.readiness import Readiness
from meshupgrade.phases import PHASES
from meshupgrade.phases.addon_images import spec_values
from meshupgrade.phases.fit import release_fits
from meshupgrade.phases.shape import Outcome, PhaseModule, SnapshotPlace, Work

__all__ = ["Report", "finding_events"]

TRY_AGAIN = (
    "Change the spec, or annotate the object with a new value of meshupgrade.io/reconcile-requested-at, to try again"
)

MAX_VALUES_SET_BYTES = 12 * 1024
"""Bytes of all the paths that status.valuesSet remembers."""

PROGRESS_PAUSE = 2.0
"""Seconds between two writes of mere progress, unless a phase has just begun."""


def _goal_of(work: Work) -> str:
    """Give the version to reach, without a leading v; as the spec has it while it is not resolved."""
    return str(work.goal or work.wanted.exact or work.spec.version)


class Report:
    """Tells of one run. Every call raises ObjectGone when the object is no more."""

    def __init__(self, writer: StatusWriter) -> None:
        self._writer = writer
        self._phase: PhaseModule | None = None
        self._state = State.RUNNING
        self._healthy = False
        self._rollback_began = now()
        self._rollback_snapshot = ""
        self._began = 0.0
        self._told = 0.0

    @property
    def status(self) -> MeshUpgradeStatus:
        """The status as it is told so far."""
        return self._writer.status

    def ready(self) -> bool:
        """Tell whether Ready was True when the run began."""
        condition = self._writer.get(ConditionType.READY)
        return condition is not None and condition.status == "True"

    def under_way(self, work: Work) -> bool:
        """Tell whether this hop had begun to write."""
        return history.under_way(self.status.history, str(work.version))

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

    def opened(self, work: Work, digest: str, *, back: HistoryEntry | None = None) -> None:
        """Put in that an attempt begins; it is written with the first phase that changes anything.

        What runs is recorded as verified when it is healthy and no attempt has touched it: a rollback goes there.
        With ``back`` the attempt is to go back to what that entry speaks of.
        """
        entries = self.status.history
        risks = [finding.name for finding in self.status.findings if finding.severity is Severity.RISK]
        untouched = not history.half_way(entries, str(work.version), digest)
        newest = work.revisions[0].revision if work.revisions else None
        if untouched and self._healthy and work.live is not None and work.live.revision == newest:
            entries = history.adopt(entries, str(work.current_version()), newest, now())
            work.verified = newest
        self._writer.update(
            history=history.begin(
                entries,
                str(work.version),
                action=_action(work, back),
                from_=str(work.running() or ""),
                started_time=now(),
                chart_digest=work.target.chart_digest if work.target is not None else "",
                crd_digest=work.target.crd_digest if work.target is not None else "",
                input_digest=digest,
                authorities=list(work.authorities),
                accepted_risks=risks,
            )
        )
        name = snapshot_name(work.uid, self.status.history[0])
        work.snapshot = self._snapshot_place(name, self._snapshot_taken)

    async def phase_begun(self, phase: PhaseModule, work: Work, *, tell: bool) -> None:
        """Show a phase as the one that runs; at once only to ``tell`` of the attempt before its first write."""
        self._phase, self._began, self._told = phase, time.monotonic(), 0.0
        self._writer.update(phase=phase.name)
        self._writer.condition(phase.condition, "Unknown", Reason.IN_PROGRESS, "begun")
        self._writer.show(State.RUNNING, f"{phase.name}: upgrade to {work.version} under way")
        if tell:
            await self._writer.write()

    def phase_done(self, phase: PhaseModule, work: Work, outcome: Outcome) -> None:
        """Put in how a phase ended; it is written with what comes next."""
        self._phase = None
        self._outcome(phase, outcome)
        if self.under_way(work):
            took = time.monotonic() - self._began
            self._writer.update(history=history.with_duration(self.status.history, phase.name, took))

    def verified(self, work: Work) -> None:
        """Record the revision as good: its workloads were seen ready."""
        self._writer.update(helm_process=None, values_set=_values_set(work))
        if self.under_way(work):
            self._writer.update(
                history=history.change_newest(self.status.history, revision=work.revision, verified=True)
            )

    def looked_after(self, phase: PhaseModule, outcome: Outcome) -> None:
        """Put in how a phase is at rest."""
        self._outcome(phase, outcome)

    def counted(self, work: Work) -> None:
        """Put in the counts of the data plane, when they were taken."""
        if work.data_plane is not None:
            self._writer.update(data_plane=work.data_plane)

    async def progress(self, message: str) -> None:
        """Show progress of the phase that runs; the same words, or new ones too soon, are not written."""
        if self._phase is None:
            return
        shown, at = self._writer.get(self._phase.condition), time.monotonic()
        if (shown is not None and shown.message == message) or at - self._told < PROGRESS_PAUSE:
            return
        self._told = at
        self._show_progress(message)
        await self._writer.write()

    async def helm_started(self, revision: int, child: Child, seconds: float) -> None:
        """Record a Helm process before it does anything."""
        process = HelmProcess(
            revision=revision,
            host=boot_id(),
            pid=child.pid,
            started_ticks=child.started_ticks,
            deadline=now() + timedelta(seconds=seconds),
        )
        self._writer.update(helm_process=process)
        self._show_progress(f"Helm makes revision {revision}")
        await self._writer.write()

    async def migration(self, progress: StorageMigration | None) -> None:
        """Record how far the rewriting of stored objects has come."""
        self._writer.update(storage_migration=progress)
        await self._writer.write()

    async def restart(self, progress: RestartStatus) -> None:
        """Record how far the restart of the data plane has come."""
        known = self.status.data_plane or DataPlaneStatus()
        self._writer.update(data_plane=known.model_copy(update={"restart": progress}))
        await self._writer.write()

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

    async def completed(self, work: Work, *, superseded: bool) -> None:
        """Show the target as reached; of a spec that is no more, Ready does not speak."""
        if self.under_way(work):
            self._close(HistoryState.COMPLETED)
        self._writer.update(attempts=None)
        if not superseded:
            self._writer.show(State.COMPLETED, f"the mesh runs {work.current_version()}")
        await self._writer.write()

    async def hop_done(self, work: Work) -> None:
        """Show a hop as verified, with more of them to come."""
        if self.under_way(work):
            self._close(HistoryState.COMPLETED)
        self._writer.update(attempts=None)
        self._writer.show(State.RUNNING, f"the hop to {work.version} is done, the next is {work.hops[1]}")
        await self._writer.write()

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

    async def retrying(self, reason: Reason, message: str) -> None:
        """Show that something is waited for, which counts as no attempt."""
        self._phase_ended("Unknown", reason, message)
        self._writer.show(State.RETRYING, message)
        await self._writer.write()

    async def failed(self, attempts: Attempts, reason: AnyReason, pause: float, budget: int) -> None:
        """Show a failed attempt: the next one comes in ``pause`` seconds."""
        self._attempt_ended(attempts, reason)
        tried = f"Attempt {attempts.count} of {budget} failed, the next is in {pause:.0f} s"
        self._writer.show(State.RETRYING, f"{attempts.message}. {tried}")
        await self._writer.write()

    async def gave_up(self, attempts: Attempts, reason: AnyReason, why: str) -> None:
        """Show that the attempts are used up, and what becomes of the release."""
        self._attempt_ended(attempts, reason)
        text = f"{attempts.message}. Gave up after {attempts.count} attempts. {why}"
        if attempts.remediation is Remediation.DUE:
            self._writer.show(State.ROLLING_BACK, text)
        else:
            self._writer.show(State.FAILED, f"{text}. {TRY_AGAIN}")
        await self._writer.write()

    async def went_back(self, work: Work, *, superseded: bool) -> None:
        """Show the version before as reached again; not as Ready while the spec wants other values for it."""
        for phase in PHASES:
            shown = self._writer.get(phase.condition)
            if shown is None or shown.reason == Reason.PENDING:
                self._writer.condition(phase.condition, "True", Reason.NOTHING_TO_DO, "not needed to go back")
        if release_fits(work):
            await self.completed(work, superseded=superseded)
            return
        if self.under_way(work):
            self._close(HistoryState.COMPLETED)
        self._writer.update(attempts=None)
        self._writer.show(State.RUNNING, f"{work.version} is back; what the spec says of its values comes next")
        await self._writer.write()

    def rollback_asked(self, asked: str) -> None:
        """Forget the last request for a rollback once its annotation is gone, so that it can be made again."""
        if not asked:
            self._writer.update(last_handled_rollback=None)

    async def rollback_taken(self, asked: str, attempts: Attempts) -> None:
        """Show that a rollback that was asked for is about to begin."""
        self._writer.update(last_handled_rollback=asked, attempts=attempts)
        self._writer.show(State.ROLLING_BACK, attempts.message)
        await self._writer.write()

    async def rollback_refused(self, asked: str, message: str) -> None:
        """Show that a rollback that was asked for is not done, and why; all else stays as it is."""
        self._writer.update(last_handled_rollback=asked)
        self._writer.condition(ConditionType.ROLLED_BACK, "False", Reason.ROLLBACK_REFUSED, message)
        await self._writer.write()

    async def rollback_begun(self, phase: PhaseModule, work: Work) -> None:
        """Show the rollback as what runs."""
        self._phase, self._state, self._told = phase, State.ROLLING_BACK, 0.0
        self._rollback_began = now()
        if self.status.history:
            name = snapshot_name(work.uid, self.status.history[0], rollback=True)
            work.snapshot = self._snapshot_place(name, self._rollback_snapshot_taken)
        self._writer.condition(phase.condition, "Unknown", Reason.IN_PROGRESS, "begun")
        self._writer.show(State.ROLLING_BACK, f"going back to revision {work.verified}: {self._why_given_up()}")
        await self._writer.write()

    async def rolled_back(self, work: Work, outcome: Outcome) -> None:
        """Show the release as back where it was, and seen healthy there."""
        self._phase = None
        self._writer.condition(ConditionType.ROLLED_BACK, "True", outcome.reason, outcome.message)
        if self.status.attempts is not None:
            self._writer.update(attempts=self.status.attempts.model_copy(update={"remediation": Remediation.DONE}))
        assert work.revision is not None
        entries = self.status.history
        recorded = entries and entries[0].action is HistoryAction.ROLLBACK and entries[0].revision == work.revision
        if entries and not recorded:
            entries = history.rolled_back(
                entries,
                str(work.current_version()),
                work.revision,
                began=self._rollback_began,
                ended=now(),
                snapshot=self._rollback_snapshot,
            )
        self._writer.update(helm_process=None, history=entries)
        asked = self.status.attempts is not None and self.status.attempts.revision is not None
        why = self._why_given_up() if asked else f"The upgrade had failed: {self._why_given_up()}"
        text = f"{outcome.message}. {why}. {TRY_AGAIN}"
        self._writer.show(State.ROLLED_BACK, text)
        await self._writer.write()

    async def rollback_failed(self, reason: AnyReason, message: str) -> None:
        """Show that the rollback failed too; there is no second one."""
        self._phase = None
        self._writer.condition(ConditionType.ROLLED_BACK, "False", reason, message)
        if self.status.attempts is not None:
            self._writer.update(attempts=self.status.attempts.model_copy(update={"remediation": Remediation.FAILED}))
        text = f"The rollback failed: {message}. The upgrade had failed: {self._why_given_up()}. {TRY_AGAIN}"
        self._writer.show(State.ROLLBACK_FAILED, text)
        await self._writer.write()

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

    def _snapshot_place(self, name: str, record: Callable[[str], Awaitable[None]]) -> SnapshotPlace:
        kept = frozenset(entry.mesh_config_snapshot for entry in self.status.history) - {"", name}
        return SnapshotPlace(name, self._writer.ref, kept, record)

    async def _snapshot_taken(self, name: str) -> None:
        if self.status.history[0].mesh_config_snapshot != name:
            self._writer.update(history=history.change_newest(self.status.history, mesh_config_snapshot=name))
            await self._writer.write()

    async def _rollback_snapshot_taken(self, name: str) -> None:
        # The rollback gets its place in history when it has ended; a run that dies before that finds it again.
        self._rollback_snapshot = name

    def _outcome(self, phase: PhaseModule, outcome: Outcome) -> None:
        self._writer.condition(phase.condition, outcome.status, outcome.reason, outcome.message)

    def _show_progress(self, message: str) -> None:
        if self._phase is not None:
            self._writer.condition(self._phase.condition, "Unknown", Reason.IN_PROGRESS, message)
            self._writer.show(self._state, f"{self._phase.name}: {message}")

    def _phase_ended(self, status: ConditionStatus, reason: AnyReason, message: str) -> None:
        if self._phase is not None:
            self._writer.condition(self._phase.condition, status, reason, message)

    def _attempt_ended(self, attempts: Attempts, reason: AnyReason) -> None:
        # The Helm process stays recorded: one that had to be killed leaves a pending release, and proves it ours.
        self._writer.update(attempts=attempts)
        self._phase_ended("False", reason, attempts.message)
        if self.status.history and self.status.history[0].state is HistoryState.PARTIAL:
            self._close(HistoryState.FAILED, message=f"{reason}: {attempts.message}")

    def _why_given_up(self) -> str:
        return self.status.attempts.message if self.status.attempts is not None else ""

    def _close(self, state: HistoryState, **fields: str) -> None:
        entries = history.change_newest(self.status.history, state=state, completion_time=now(), **fields)
        self._writer.update(history=entries)


def _action(work: Work, back: HistoryEntry | None) -> HistoryAction:
    if back is not None:
        return HistoryAction.ROLLBACK
    return HistoryAction.UPGRADE if work.live is not None else HistoryAction.INSTALL


def finding_events(findings: Sequence[Finding], accepted: frozenset[str], scrub: Callable[[str], str]) -> list[Event]:
    """Give the events for findings: a person has to look at all but those that only tell, and at no accepted Risk."""
    return [
        Event(finding.name, scrub(f"{finding.message}. {finding.remedy}".strip()), finding.name not in accepted)
        for finding in findings
        if finding.severity is not Severity.INFO
    ]


def _values_set(work: Work) -> list[str]:
    """Give what the spec laid over the values of a release; after a Reset, all there is, is for a Reuse to take."""
    if work.spec.values_policy is ValuesPolicy.RESET:
        return []
    pointers = sorted(to_pointer(path) for path in leaf_paths(spec_values(work)))
    kept: list[str] = []
    room = MAX_VALUES_SET_BYTES
    for pointer in pointers:
        room -= len(pointer.encode())
        if len(pointer) <= MAX_POINTER and room >= 0 and len(kept) < MAX_VALUES_SET:
            kept.append(pointer)
    return kept


def _told(findings: Sequence[Finding]) -> str:
    return " ".join(f"{finding.message}. {finding.remedy}" for finding in findings)
