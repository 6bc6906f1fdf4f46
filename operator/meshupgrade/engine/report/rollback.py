"""What a run tells of going back."""

from meshupgrade.api.v1alpha1.conditions import AnyReason, ConditionType, Reason
from meshupgrade.api.v1alpha1.status import (
    Attempts,
    HistoryAction,
    Remediation,
)
from meshupgrade.domain.state import State
from meshupgrade.engine import history
from meshupgrade.engine.mesh_config_history import snapshot_name
from meshupgrade.engine.report.attempt import TRY_AGAIN, AttemptReport
from meshupgrade.engine.status import now
from meshupgrade.phases import PHASES
from meshupgrade.phases.fit import release_fits
from meshupgrade.phases.shape import Outcome, PhaseModule, Work

__all__ = ["RollbackReport"]


class RollbackReport(AttemptReport):
    """Tells of rollbacks: after failures, at the wish of a person, and by the version in the spec."""

    async def went_back(self, work: Work, *, superseded: bool) -> None:
        """Show the version before as reached again; not as Ready while the spec wants other values for it."""
        for phase in PHASES:
            shown = self._writer.get(phase.condition)
            if shown is None or shown.reason == Reason.PENDING:
                self._writer.condition(phase.condition, "True", Reason.NOTHING_TO_DO, "not needed to go back")
        if release_fits(work):
            await self.completed(work, superseded=superseded)
            return
        await self._verified_on_the_way(work, f"{work.version} is back; what the spec says of its values comes next")

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

    async def _rollback_snapshot_taken(self, name: str) -> None:
        # The rollback gets its place in history when it has ended; a run that dies before that finds it again.
        self._rollback_snapshot = name
