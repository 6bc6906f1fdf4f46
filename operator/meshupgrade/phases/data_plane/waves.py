"""The restart of the data plane, wave by wave, each seen through before the next one begins.

Where it stands is in the cluster: the annotation on a template says that its workload was restarted, and its Pods
whether it came back. So a run that died anywhere is simply run again. The status only tells people, and that the canary
has proved itself.
"""

import asyncio
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from meshupgrade.api.v1alpha1.status import RestartStatus
from meshupgrade.domain.restarts import progress
from meshupgrade.domain.waves import count_waves, next_wave, waves_over
from meshupgrade.kube.client import ObjectRef
from meshupgrade.kube.readiness import is_ready
from meshupgrade.phases.data_plane.blocking import Blocking, look_for_blocking
from meshupgrade.phases.data_plane.comeback import bring_back
from meshupgrade.phases.data_plane.proof import prove_injection
from meshupgrade.phases.data_plane.restart import End, Failed, Restarts, mark
from meshupgrade.phases.data_plane.selection import MOST_NAMED, Selection
from meshupgrade.phases.data_plane.soak import soak
from meshupgrade.phases.shape import PhaseFailed, Superseded

__all__ = ["Waves"]

TELL_EVERY = 2.0
"""Seconds between two looks at how far a wave has come."""

DIAGNOSE_EVERY = 15.0
"""Seconds between two looks for why a wave takes so long, which read Pods and logs."""

BLOCKED_PAUSE = 5.0
"""Seconds between two looks whether workloads that may not be restarted may be now."""

TOLD = 3
"""How many of the workloads that failed a message has."""

MAX_NAMED = 300
"""Characters of a failure in the status."""


class Waves:
    """One run through the waves."""

    def __init__(self, restarts: Restarts, selection: Selection) -> None:
        """Take in what there is to do; nothing is done yet."""
        self._restarts, self._work = restarts, restarts.work
        self._size = selection.size
        self._proved: set[str | None] = set()
        self._handled = set(selection.given_up)
        self._spent: list[float] = []
        """Seconds that each wave took."""

        self.failed: list[Failed] = []
        known = self._work.restart
        before = known if known is not None and known.target == selection.target else None
        self._soaked_before = before is not None and before.done
        names = [str(ref) for ref in selection.given_up]
        known_failures = before.failed if before is not None else []
        self._given_up = [failed for failed in known_failures if failed.partition(": ")[0] in names]
        """Why those failed that are not tried again for the target."""

        self.status = before or RestartStatus(target=selection.target)
        wave = 0
        if not self._soaked_before:
            left = self._count(*self._staged(selection))
            in_flight = bool(selection.in_flight)
            wave = waves_over(self.status.wave, self.status.waves, left, in_flight=in_flight)
        self._set(restarted=selection.done, wave=wave, failed=[], done=False)

    def has_more(self, selection: Selection) -> bool:
        """Tell whether there is anything to do that was not handled in this run."""
        return any(ref not in self._handled for ref in selection.all)

    async def run(self, selection: Selection) -> None:
        """Restart what is selected and was not handled yet. May be called again, for what came up meanwhile.

        Raises PhaseFailed, what ``work.hold`` raises, and the errors of kube that are worth another try.
        """
        spec = self._work.spec.data_plane
        canary, rest = self._staged(selection)
        self._set(
            total=self.status.restarted + len(self.failed) + len(canary) + len(rest),
            waves=self.status.wave + self._count(canary, rest),
        )
        in_flight = set(selection.in_flight)
        await self._stage(canary, in_flight, threshold=0)
        if rest and not self._soaked_before:
            failed = await soak(self._restarts, self.status.soak_until, self._soak_begun)
            if failed is not None:
                # Another attempt begins with another soak.
                self._set(soak_until=None)
                self.failed.append(failed)
                await self._stop(0)
        await self._stage(rest, in_flight, threshold=spec.failure_threshold)

    async def finish(self) -> None:
        """Record that nothing is left to do for the target."""
        await self._keep(done=True)

    def _staged(self, selection: Selection) -> tuple[list[ObjectRef], list[ObjectRef]]:
        """Give what was not handled yet: that of the canary, and the rest."""
        todo = [ref for ref in selection.all if ref not in self._handled]
        canary = self._work.spec.data_plane.canary
        first = canary.namespace if canary is not None else None
        return [ref for ref in todo if ref.namespace == first], [ref for ref in todo if ref.namespace != first]

    def _count(self, canary: Sequence[ObjectRef], rest: Sequence[ObjectRef]) -> int:
        """Give how many waves they take."""
        return count_waves([len(canary), len(rest)], self._size)

    async def _soak_begun(self, until: datetime) -> None:
        await self._keep(soak_until=until)

    async def _stage(self, refs: Sequence[ObjectRef], in_flight: set[ObjectRef], *, threshold: int) -> None:
        """Restart the workloads; those that may not be are looked at again, and waited for when only they are left."""
        loop, live = asyncio.get_running_loop(), self._restarts.live
        todo, stuck_since = list(refs), None
        while todo := [ref for ref in todo if live.get(ref) is not None]:
            await self._work.hold()
            flying = in_flight & set(todo)
            blocking = await look_for_blocking(self._work, live, todo, flying)
            budgets = blocking.budgets
            wave = next_wave(
                todo, flying, self._size, blocked=blocking.unfit, budgets=budgets.of, allowed=budgets.allowed
            )
            if stuck_since is not None and loop.time() - stuck_since >= self._restarts.seconds:
                self._give_up([ref for ref in todo if ref not in flying], blocking)
                break
            back = await self._wave(wave, flying) if wave else set()
            in_flight -= set(wave)
            todo = [ref for ref in todo if ref not in wave or ref in back]
            if len(self.failed) > threshold:
                await self._stop(threshold)
            if len(back) < len(wave):
                stuck_since = None
            elif todo:
                stuck_since = stuck_since or loop.time()
                await self._work.report(f"{self._progress()}; waiting for {blocking.why(todo[0])}")
                await asyncio.sleep(BLOCKED_PAUSE)
        if len(self.failed) > threshold:
            await self._stop(threshold)

    async def _wave(self, wave: Sequence[ObjectRef], flying: Collection[ObjectRef]) -> set[ObjectRef]:
        """Restart the workloads of a wave and see them through; give those that were not touched after all."""
        loop, back, begun = asyncio.get_running_loop(), set[ObjectRef](), asyncio.get_running_loop().time()
        number = self.status.wave + 1
        await self._keep(wave=number, waves=max(number, self.status.waves))
        await self._work.report(self._progress())
        at = await self._prove([ref for ref in wave if ref not in flying])
        deadline = loop.time() + self._restarts.seconds
        tasks = {asyncio.create_task(self._one(ref, None if ref in flying else at, deadline)): ref for ref in wave}
        diagnosed, said = begun, ""
        waiting = set(tasks)
        try:
            while waiting:
                over, waiting = await asyncio.wait(waiting, timeout=TELL_EVERY, return_when=asyncio.FIRST_EXCEPTION)
                for task in over:
                    self._take(tasks[task], task.result(), back)
                if waiting and loop.time() - diagnosed >= DIAGNOSE_EVERY:
                    diagnosed, said = loop.time(), await self._cause([tasks[task] for task in waiting])
                    if said and self._work.superseded():
                        raise Superseded(f"the spec changed while {said}")
                await self._work.report(self._progress(loop.time() - begun) + (f"; {said}" if said else ""))
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        if len(back) < len(wave):
            self._spent.append(loop.time() - begun)
        else:
            self._set(wave=number - 1)
        await self._keep()
        return back

    async def _prove(self, refs: Sequence[ObjectRef]) -> datetime | None:
        """Prove the injector by the first workload, and by one of each namespace that is new to this run.

        Gives the time at the API server; None when there is none of these workloads any more.
        """
        at: datetime | None = None
        for ref in refs:
            if at is not None and ref.namespace in self._proved:
                continue
            proved = await prove_injection(self._work, self._restarts.live, ref, self._restarts.images)
            if proved is not None:
                at = proved
                self._proved.add(ref.namespace)
        return at

    async def _one(self, ref: ObjectRef, at: datetime | None, deadline: float) -> End | Failed:
        if at is not None:
            marked = await mark(self._restarts, ref, at)
            if marked is not End.DONE:
                return marked
        return await bring_back(self._restarts, ref, deadline)

    def _take(self, ref: ObjectRef, end: End | Failed, back: set[ObjectRef]) -> None:
        if end is End.BACK:
            back.add(ref)
            return
        self._handled.add(ref)
        if isinstance(end, Failed):
            self.failed.append(end)
        else:
            self._set(restarted=self.status.restarted + 1)

    def _give_up(self, refs: Sequence[ObjectRef], blocking: Blocking) -> None:
        self._handled.update(refs)
        self.failed += [blocking.why(ref) for ref in refs]

    async def _cause(self, refs: Sequence[ObjectRef]) -> str:
        """Say why one of the workloads that are waited for is not ready; empty when its Pods do not tell."""
        ref = min(refs)
        workload = await self._restarts.live.refresh(ref)
        if workload is None or is_ready(workload):
            return ""
        cause = await self._restarts.diagnose(workload)
        return f"{ref}: {cause.message}" if cause is not None else f"waiting for {ref}"

    def _progress(self, elapsed: float = 0.0) -> str:
        status, left = self.status, None
        if self._spent and status.restarted + len(self.failed) < status.total:
            mean = sum(self._spent) / len(self._spent)
            left = max(mean * (status.waves - status.wave) + max(mean - elapsed, 0.0), 1.0)
        return progress(status.restarted, status.total, status.wave, status.waves, left)

    async def _stop(self, threshold: int) -> None:
        """Raise PhaseFailed, and record what failed."""
        await self._keep()
        first, count = self.failed[0], len(self.failed)
        some = "; ".join(str(failed)[:600] for failed in self.failed[:TOLD])
        more = f"; and {count - TOLD} more" if count > TOLD else ""
        raise PhaseFailed(
            first.reason,
            f"{count} workload{'s' * (count != 1)} did not come back, and {threshold or 'none'} may: {some}{more}. "
            f"{self.status.restarted} of {self.status.total} workloads are restarted, and no more are; the next "
            "attempt goes on from there",
        )

    def _set(self, **fields: Any) -> None:
        self.status = self.status.model_copy(update=fields)

    async def _keep(self, **fields: Any) -> None:
        """Record how far it has come."""
        failed = [*self._given_up, *(str(failed)[:MAX_NAMED] for failed in self.failed)]
        self._set(**fields, failed=failed[:MOST_NAMED])
        self._work.restart = self.status
        await self._work.keep_restart(self.status)
