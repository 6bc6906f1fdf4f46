"""What a run tells of an attempt, from its entry in history to its end."""

from collections.abc import Awaitable, Callable

from meshupgrade.api.v1alpha1.conditions import AnyReason, Reason
from meshupgrade.api.v1alpha1.findings import Severity
from meshupgrade.api.v1alpha1.spec import ValuesPolicy
from meshupgrade.api.v1alpha1.status import (
    MAX_POINTER,
    MAX_VALUES_SET,
    Attempts,
    HistoryAction,
    HistoryEntry,
    HistoryState,
    Remediation,
)
from meshupgrade.domain.merge import leaf_paths
from meshupgrade.domain.state import State
from meshupgrade.domain.values import to_pointer
from meshupgrade.engine import history
from meshupgrade.engine.mesh_config_history import snapshot_name
from meshupgrade.engine.report.plan import PlanReport
from meshupgrade.engine.status import now
from meshupgrade.phases.addon_images import spec_values
from meshupgrade.phases.shape import SnapshotPlace, Work

__all__ = ["TRY_AGAIN", "AttemptReport"]

TRY_AGAIN = (
    "Change the spec, or annotate the object with a new value of meshupgrade.io/reconcile-requested-at, to try again"
)

MAX_VALUES_SET_BYTES = 12 * 1024
"""Bytes of all the paths that status.valuesSet remembers."""


class AttemptReport(PlanReport):
    """Tells how an attempt begins, and how it ends."""

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

    def verified(self, work: Work) -> None:
        """Record the revision as good: its workloads were seen ready."""
        self._writer.update(helm_process=None, values_set=_values_set(work))
        if self.under_way(work):
            self._writer.update(
                history=history.change_newest(self.status.history, revision=work.revision, verified=True)
            )

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
        await self._verified_on_the_way(work, f"the hop to {work.version} is done, the next is {work.hops[1]}")

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

    def _snapshot_place(self, name: str, record: Callable[[str], Awaitable[None]]) -> SnapshotPlace:
        kept = frozenset(entry.mesh_config_snapshot for entry in self.status.history) - {"", name}
        return SnapshotPlace(name, self._writer.ref, kept, record)

    async def _snapshot_taken(self, name: str) -> None:
        if self.status.history[0].mesh_config_snapshot != name:
            self._writer.update(history=history.change_newest(self.status.history, mesh_config_snapshot=name))
            await self._writer.write()

    async def _verified_on_the_way(self, work: Work, message: str) -> None:
        """Show that an attempt has ended well, with more to come."""
        if self.under_way(work):
            self._close(HistoryState.COMPLETED)
        self._writer.update(attempts=None)
        self._writer.show(State.RUNNING, message)
        await self._writer.write()

    def _attempt_ended(self, attempts: Attempts, reason: AnyReason) -> None:
        # The Helm process stays recorded: one that had to be killed leaves a pending release, and proves it ours.
        self._writer.update(attempts=attempts)
        self._phase_ended("False", reason, attempts.message)
        if self.status.history and self.status.history[0].state is HistoryState.PARTIAL:
            self._close(HistoryState.FAILED, message=f"{reason}: {attempts.message}")

    def _why_given_up(self) -> str:
        return self.status.attempts.message if self.status.attempts is not None else ""


def _action(work: Work, back: HistoryEntry | None) -> HistoryAction:
    if back is not None:
        return HistoryAction.ROLLBACK
    return HistoryAction.UPGRADE if work.live is not None else HistoryAction.INSTALL


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
