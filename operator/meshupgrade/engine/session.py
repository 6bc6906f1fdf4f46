"""What all parts of a run share: the object, the report on it, the digest of its inputs, and how it comes to rest."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from meshupgrade.api.v1alpha1.findings import Finding
from meshupgrade.api.v1alpha1.rules import parse_duration
from meshupgrade.domain.exports import ExportBroken
from meshupgrade.domain.state import State
from meshupgrade.engine.digest import input_digest
from meshupgrade.engine.finalizer import remove_finalizer, set_finalizer
from meshupgrade.engine.gate import Turn
from meshupgrade.engine.objects import has_finalizer, requested_at
from meshupgrade.engine.report import Report
from meshupgrade.engine.status import StatusWriter
from meshupgrade.kube.errors import KubeError
from meshupgrade.kube.readiness import Readiness, observe_readiness, workload_refs
from meshupgrade.phases.crds import clean, lift
from meshupgrade.phases.shape import Tools, Work

__all__ = ["RECHECK", "Session", "readiness_of"]

logger = logging.getLogger(__name__)

RECHECK = {
    State.FAILED: 600.0,
    State.ROLLED_BACK: 600.0,
    State.ROLLBACK_FAILED: 600.0,
    State.REFUSED: 60.0,
    State.INVALID: 600.0,
}
"""Seconds until a mesh at rest is looked at again."""

AT_INTERVAL = (State.COMPLETED, State.PLANNED, State.AWAITING_APPROVAL, State.OUTSIDE_WINDOW, State.SUSPENDED)
"""The states in which that is as often as spec.interval says."""

UNFENCE_TIMEOUT = 10.0
"""Seconds that restoring what was held off may take on the way out; it takes milliseconds."""


class Session:
    """One run's hold on its object."""

    def __init__(self, tools: Tools, obj: Mapping[str, Any], turn: Turn) -> None:
        self.tools = tools
        self.obj = obj
        self.turn = turn
        self.writer = StatusWriter(tools.kube, obj, scrub=tools.secrets.scrub_tree)
        self.report = Report(self.writer)
        self.work: Work | None = None
        """The Work of the run, once the spec could be read."""

    def digest(self) -> str:
        """Give the digest of the inputs: the spec, what it refers to, what a range came to, and the request."""
        work = self.work
        values = work.values_digest if work is not None else ""
        goal = str(work.goal) if work is not None and work.goal is not None and work.wanted.exact is None else ""
        return input_digest(dict(self.obj["spec"]), requested_at(self.obj), values + goal)

    async def hold_on(self, work: Work) -> None:
        """Set the finalizer, before the first write. Raises NotFound, and ObjectGone for another object of the name."""
        self.writer.saw(await set_finalizer(work.tools.kube, self.writer.ref, work.uid))

    async def rest(self, work: Work, state: State) -> float:
        """Let go of the object: at rest nothing is held off, and nothing holds up its deletion.

        Gives the seconds until it is looked at again.
        """
        await self._unfence()
        if state is State.COMPLETED:
            await self._clean(work)
        await remove_finalizer(work.tools.kube, self.writer.ref, work.uid)
        if state in AT_INTERVAL:
            return parse_duration(work.spec.interval).total_seconds()
        return RECHECK[state]

    async def refuse(self, work: Work, blocking: Sequence[Finding]) -> float:
        """Show the upgrade as refused, and let go of the object."""
        await self.report.refused(blocking)
        return await self.rest(work, State.REFUSED)

    async def unfence_on_the_way_out(self) -> None:
        """Restore what was held off, however the run ended."""
        try:
            async with asyncio.timeout(UNFENCE_TIMEOUT):
                await self._unfence()
        except (KubeError, TimeoutError) as error:
            # The finalizer is still set: the next run, or the deletion of the object, does it.
            logger.warning("%s: what is held off for it could not be restored now: %s", self.writer.ref, error)

    async def _unfence(self) -> None:
        """Restore what was held off while CRDs changed; the finalizer tells of a run that died with it."""
        work = self.work
        if work.fenced if work is not None else has_finalizer(self.obj):
            await lift(self.tools.kube, self.writer.uid)
        if work is not None:
            work.fenced = False

    async def _clean(self, work: Work) -> None:
        """Remove the exports that changes of scope needed; what cannot be removed now is when it is looked at next."""
        try:
            await clean(work)
        except (KubeError, ExportBroken) as error:
            logger.warning("%s: exports could not be removed now: %s", self.writer.ref, error)


async def readiness_of(work: Work) -> Readiness:
    """Give how the workloads of the live release are."""
    assert work.live is not None
    return await observe_readiness(work.tools.kube, workload_refs(work.live.objects(), work.namespace))
