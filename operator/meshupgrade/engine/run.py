"""One run: a MeshUpgrade taken from where it is, through the phases, as far as it goes.

Nothing is remembered between two runs but the object's own status. Each run reads the world, decides (plan), and only
then writes (apply), so a run that died anywhere is simply run again.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from meshupgrade.api.v1alpha1.conditions import Reason
from meshupgrade.api.v1alpha1.spec import MeshUpgradeSpec, Mode
from meshupgrade.api.v1alpha1.status import Phase, Remediation
from meshupgrade.distributions import load_distribution
from meshupgrade.domain.ranges import Range, parse_range
from meshupgrade.domain.state import State, backoff
from meshupgrade.engine.failure import SPENT, TRANSIENT, fail, roll_back
from meshupgrade.engine.gate import Gate, Turn
from meshupgrade.engine.going_back import go_back, take_request
from meshupgrade.engine.holding import held_back, keep, let_go, may_go_on, suspended
from meshupgrade.engine.objects import has_finalizer, requested_at, spec_errors
from meshupgrade.engine.observation import (
    begun_hop,
    is_under_way,
    known_goal,
    observe,
    spent_on,
    undo_of,
    version_before,
)
from meshupgrade.engine.planner import make_plan
from meshupgrade.engine.planning import ONCE_PHASES, plan_path
from meshupgrade.engine.rest import look_after, until_correction
from meshupgrade.engine.session import RECHECK, Session, readiness_of
from meshupgrade.engine.status import now
from meshupgrade.kube.errors import KubeError
from meshupgrade.phases import PHASES
from meshupgrade.phases.authority import check_authority
from meshupgrade.phases.crds import CRDs
from meshupgrade.phases.drift import look_for_drift
from meshupgrade.phases.fit import release_fits
from meshupgrade.phases.resolution import resolve_goal
from meshupgrade.phases.shape import Busy, Held, PhaseFailed, PhasePlan, Superseded, Tools, Work
from meshupgrade.phases.values import resolve_values

__all__ = ["Run"]

logger = logging.getLogger(__name__)

BUSY_PAUSE = 5.0
"""Seconds between two looks at a release that somebody else works on."""


class Run:
    """One run for one object."""

    def __init__(
        self, tools: Tools, obj: Mapping[str, Any], kubernetes_version: str, failures: int, turn: Turn | None = None
    ) -> None:
        self._session = Session(tools, obj, turn or Turn(Gate(), None))
        self._report = self._session.report
        self._kubernetes_version = kubernetes_version
        self._failures = failures
        self.superseded = False
        """Set from outside when the spec changed meanwhile."""

        self.transient = False
        """Whether the run ended because something did not answer."""

    async def go(self) -> float:
        """Run, and give the seconds until the next run is due. Raises ObjectGone and Unreachable."""
        try:
            return await self._go()
        finally:
            await self._session.unfence_on_the_way_out()

    async def _go(self) -> float:
        session = self._session
        try:
            spec = MeshUpgradeSpec.model_validate(session.obj["spec"])
            wanted = parse_range(spec.version)
        except ValidationError as error:
            return await self._invalid(spec_errors(error))
        except ValueError as error:
            return await self._invalid(f"spec.version: {error}")
        work = session.work = self._work(spec, wanted)
        resumed = await self._report.begun(work, requested_at(session.obj), self._kubernetes_version)
        try:
            return await self._advance(work, resumed=resumed)
        except Superseded:
            return 0.0
        except Held as held:
            return await let_go(session, work, held)
        except Busy as error:
            await self._report.retrying(Reason.PENDING, str(error))
            return BUSY_PAUSE
        except TRANSIENT as error:
            self.transient = True
            pause = backoff(self._failures + 1)
            await self._report.retrying(Reason.UNREACHABLE, f"{error}; tried again in {pause:.0f} s")
            return pause
        except PhaseFailed as error:
            return await fail(session, work, error.reason, str(error))
        except KubeError as error:
            return await fail(session, work, Reason.API_REJECTED, str(error))

    async def show_defect(self) -> None:
        """Tell the user that the operator itself failed."""
        await self._report.defect()

    async def _advance(self, work: Work, *, resumed: bool) -> float:
        session, report = self._session, self._report
        await observe(session, work)
        await resolve_values(work)
        unresolved = await resolve_goal(work, known_goal(session), keep=is_under_way(session))
        spent = spent_on(session, work)
        if spent is Remediation.DUE:
            return await roll_back(session, work)
        work.begun_hop = begun_hop(session, work)
        work.half_way = work.begun_hop is not None and spent is None
        if (held := await suspended(session, work)) is not None:
            return held
        if await take_request(session, work):
            return 0.0
        if spent is not None:
            await report.unchanged()
            return await session.rest(work, SPENT[spent])
        known = known_goal(session)
        if unresolved and resumed and report.ready() and known is not None:
            # A mesh at rest stays so when its repository is lost.
            logger.warning("%s: %s", session.writer.ref, unresolved[0].message)
            work.goal = work.version = known
        elif unresolved:
            return await session.refuse(work, unresolved)
        resumed = report.resolved(work) and resumed
        if resumed and report.ready() and release_fits(work) and (rest := await look_after(session, work)) is not None:
            return rest
        work.authorities = report.status.history[0].authorities if work.half_way else ()
        work.undo = undo_of(session, work)
        if (back := version_before(report.status.history, work)) is not None:
            return await go_back(session, work, back)
        return await self._upgrade(work)

    async def _upgrade(self, work: Work) -> float:
        """Plan the whole way, and carry out the hop that is next."""
        session, report = self._session, self._report
        planned = await plan_path(work)
        blocking = await report.planned(work, planned.findings)
        if blocking and work.half_way:
            # Half-way and cannot go on: that is a failed attempt, not a refusal.
            raise PhaseFailed(blocking[0].name, f"{blocking[0].message}. {blocking[0].remedy}")
        if blocking and work.spec.mode is not Mode.PLAN:
            return await session.refuse(work, blocking)
        plan = None
        if planned.complete and not work.half_way:
            # The plan of a hop that has begun stays as it is.
            history = report.status.history
            plan = await make_plan(planned.hops, planned.findings, planned.afterwards, history, now())
            plan = await keep(session, work, plan)
        if (held := await held_back(session, work, plan, blocking)) is not None:
            return held
        return await self._apply(work, planned.phases)

    def _work(self, spec: MeshUpgradeSpec, wanted: Range) -> Work:
        session, writer, status = self._session, self._session.writer, self._report.status
        work = Work(
            tools=session.tools,
            namespace=str(writer.ref.namespace),
            uid=writer.uid,
            generation=writer.generation,
            spec=spec,
            wanted=wanted,
            distribution=load_distribution(spec.mesh.distribution),
            report=self._report.progress,
            helm_started=self._report.helm_started,
            superseded=lambda: self.superseded or writer.changed_meanwhile,
            migration=status.storage_migration,
            keep_migration=self._report.migration,
            restart=status.data_plane.restart if status.data_plane is not None else None,
            keep_restart=self._report.restart,
            fenced=has_finalizer(session.obj),
            values_set=status.values_set,
        )
        work.hold = lambda: may_go_on(session, work)
        return work

    async def _apply(self, work: Work, plans: Sequence[PhasePlan]) -> float:
        if any(plan.changes for plan in plans) or work.half_way:
            self._report.opened(work, self._session.digest())
            await self._session.hold_on(work)
        begun = False
        last = work.version == work.need_goal()
        for phase, plan in zip(PHASES, plans, strict=True):
            if phase in ONCE_PHASES and not last:
                continue
            writes = work.half_way or bool(plan.changes)
            await self._report.phase_begun(phase, work, tell=writes and not begun)
            begun = begun or writes
            outcome = await phase.apply(work)
            self._report.phase_done(phase, work, outcome)
            if phase.name is Phase.CONTROL_PLANE:
                self._report.verified(work)
                self._report.observed(work, await readiness_of(work))
                await self._check_crds_again(work)
                await check_authority(work)
        if not last:
            await self._report.hop_done(work)
            return 0.0
        self._report.counted(work)
        # What was just applied has not drifted.
        await self._report.drift(work, None if begun else await look_for_drift(work, now()))
        superseded = work.superseded()
        await self._report.completed(work, superseded=superseded)
        rest = await self._session.rest(work, State.COMPLETED)
        return 0.0 if superseded else until_correction(self._session, work, rest)

    async def _check_crds_again(self, work: Work) -> None:
        """See what the new bootstrap, or another one, made of the CRDs meanwhile."""
        for phase in PHASES:
            if isinstance(phase, CRDs) and (outcome := await phase.after_control_plane(work)):
                self._report.looked_after(phase, outcome)

    async def _invalid(self, message: str) -> float:
        await self._report.invalid(message)
        return RECHECK[State.INVALID]
