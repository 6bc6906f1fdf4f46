"""What is between a plan and its being carried out: suspension, approval, windows, and one's turn."""

from collections.abc import Sequence

from meshupgrade.api.v1alpha1.findings import Finding
from meshupgrade.api.v1alpha1.plan import Plan
from meshupgrade.api.v1alpha1.spec import Mode
from meshupgrade.domain.state import State
from meshupgrade.domain.windows import is_open, next_opening
from meshupgrade.engine.objects import approved_digest, is_approved
from meshupgrade.engine.plan_store import keep_plan
from meshupgrade.engine.session import Session
from meshupgrade.engine.status import now
from meshupgrade.phases.shape import Held, Superseded, Work

__all__ = ["PAUSE_LOOK", "held_back", "keep", "let_go", "may_go_on", "suspended"]

PAUSE_LOOK = 30.0
"""Seconds between two looks whether a pause is over."""

SUSPENDED = "spec.suspend is true: nothing is done until it is taken back"

TURN_LOOK = 60.0
"""Seconds until it is looked whether it is one's turn, if nobody tells."""

MOST_SLEEP = 3600.0
"""Seconds until the clock is asked again, which somebody may have set, whatever a window says."""


async def suspended(session: Session, work: Work) -> float | None:
    """Give the seconds until the next look when the spec wants nothing done, else None; a begun hop goes on."""
    if work.half_way or not work.spec.suspend:
        return None
    await session.report.held(State.SUSPENDED, SUSPENDED)
    return await session.rest(work, State.SUSPENDED)


async def may_go_on(session: Session, work: Work) -> None:
    """Stop at a safe point when the spec, or a pause of the cluster, wants it by now. Raises Superseded and Held."""
    if work.superseded():
        raise Superseded
    if work.spec.suspend:
        raise Held(State.SUSPENDED, SUSPENDED)
    if why := await session.turn.gate.why_paused():
        raise Held(State.SUSPENDED, _paused(why), PAUSE_LOOK)
    if closed := _outside_windows(work):
        raise closed


async def keep(session: Session, work: Work, plan: Plan) -> Plan:
    """Keep the plan in its Secret, unless it changes nothing, and show it; give it as it was first made."""
    before = session.report.status.plan
    if before is not None and before.digest == plan.digest:
        plan = plan.model_copy(update={"created_at": before.created_at})
    carried = session.report.goes_on(plan, session.digest())
    approved = carried or is_approved(session.obj, work.spec, plan)
    secret = ""
    if plan.changes():
        secret = await keep_plan(session.tools.kube, session.writer.ref, session.writer.uid, plan)
    session.report.has_plan(plan, secret=secret, inputs=session.digest(), approved=approved, carried=carried)
    return plan


async def held_back(session: Session, work: Work, plan: Plan | None, blocking: Sequence[Finding]) -> float | None:
    """Give the seconds until the next look when the plan is not carried out now, else None.

    A hop that has begun is finished, whatever the spec says by now of plans, approval and windows.
    """
    if work.half_way:
        return await _wait_for_turn(session)
    if work.spec.mode is Mode.PLAN:
        await session.report.only_planned(plan, blocking)
        return await session.rest(work, State.PLANNED)
    assert plan is not None
    if not plan.changes():
        return None
    if why := await session.turn.gate.why_paused():
        return await let_go(session, work, Held(State.SUSPENDED, _paused(why), PAUSE_LOOK))
    if not session.report.approved():
        await session.report.awaiting_approval(plan, approved_digest(session.obj))
        return await session.rest(work, State.AWAITING_APPROVAL)
    if closed := _outside_windows(work):
        return await let_go(session, work, closed)
    return await _wait_for_turn(session)


async def let_go(session: Session, work: Work, held: Held) -> float:
    """Show that nothing is done for now, and let go of the object. Gives the seconds until the next look."""
    await session.report.held(held.state, str(held))
    rest = await session.rest(work, held.state)
    return rest if held.pause is None else held.pause


def _paused(why: str) -> str:
    return f"all upgrades of the cluster are paused: {why}"


def _outside_windows(work: Work) -> Held | None:
    """Give what is said, and for how long, while no window is open."""
    windows, at = work.spec.upgrade.windows, now()
    if is_open(windows, at):
        return None
    opening = next_opening(windows, at)
    when = f"the next one opens at {opening:%Y-%m-%dT%H:%M:%SZ}" if opening is not None else "none ever opens"
    pause = None if opening is None else min(MOST_SLEEP, max(0.0, (opening - at).total_seconds()) + 0.1)
    return Held(State.OUTSIDE_WINDOW, f"no window of spec.upgrade.windows is open; {when}", pause)


async def _wait_for_turn(session: Session) -> float | None:
    if session.turn.enter():
        return None
    await session.report.waiting_for_turn(session.turn.gate.most)
    return TURN_LOOK
