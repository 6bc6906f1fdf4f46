"""What a run tells of the phase that runs."""

import time
from datetime import timedelta

from meshupgrade.api.v1alpha1.conditions import AnyReason, ConditionStatus, Reason
from meshupgrade.api.v1alpha1.status import (
    DataPlaneStatus,
    HelmProcess,
    HistoryState,
    MeshUpgradeStatus,
    RestartStatus,
    StorageMigration,
)
from meshupgrade.domain.state import State
from meshupgrade.engine import history
from meshupgrade.engine.status import StatusWriter, now
from meshupgrade.helm.process import Child, boot_id
from meshupgrade.phases.shape import Outcome, PhaseModule, Work

__all__ = ["PhaseReport"]

PROGRESS_PAUSE = 2.0
"""Seconds between two writes of mere progress, unless a phase has just begun."""


class PhaseReport:
    """Holds what is told so far, and tells how phases begin, go on and end."""

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

    def under_way(self, work: Work) -> bool:
        """Tell whether this hop had begun to write."""
        return history.under_way(self.status.history, str(work.version))

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

    def looked_after(self, phase: PhaseModule, outcome: Outcome) -> None:
        """Put in how a phase is at rest."""
        self._outcome(phase, outcome)

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

    def _outcome(self, phase: PhaseModule, outcome: Outcome) -> None:
        self._writer.condition(phase.condition, outcome.status, outcome.reason, outcome.message)

    def _show_progress(self, message: str) -> None:
        if self._phase is not None:
            self._writer.condition(self._phase.condition, "Unknown", Reason.IN_PROGRESS, message)
            self._writer.show(self._state, f"{self._phase.name}: {message}")

    def _phase_ended(self, status: ConditionStatus, reason: AnyReason, message: str) -> None:
        if self._phase is not None:
            self._writer.condition(self._phase.condition, status, reason, message)

    def _close(self, state: HistoryState, **fields: str) -> None:
        entries = history.change_newest(self.status.history, state=state, completion_time=now(), **fields)
        self._writer.update(history=entries)
