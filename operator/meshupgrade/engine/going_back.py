"""Going back because a person wants to: by the version in the spec, or by the annotation that names a revision."""

from collections.abc import Sequence

from meshupgrade.api.v1alpha1.conditions import Reason
from meshupgrade.api.v1alpha1.names import ROLLBACK_REQUESTED
from meshupgrade.api.v1alpha1.plan import Plan
from meshupgrade.api.v1alpha1.spec import Mode
from meshupgrade.api.v1alpha1.status import Attempts, HistoryEntry, Remediation
from meshupgrade.domain.state import State
from meshupgrade.engine.holding import held_back, keep
from meshupgrade.engine.mesh_config_history import to_undo
from meshupgrade.engine.objects import rollback_requested
from meshupgrade.engine.planner import make_back_plan
from meshupgrade.engine.planning import ONCE_PHASES, Afterwards, plan_phases
from meshupgrade.engine.session import Session, readiness_of
from meshupgrade.engine.status import now
from meshupgrade.phases.going_back import going_back_findings
from meshupgrade.phases.rollback import GoingBack
from meshupgrade.phases.shape import PhaseFailed, Work

__all__ = ["go_back", "plan_back", "take_request"]


async def go_back(session: Session, work: Work, back: HistoryEntry) -> float:
    """Bring the release back to the version before, since the spec says so: planned, approved and told as a hop."""
    plan = await plan_back(work, back, session.report.status.history)
    blocking = await session.report.planned(work, plan.findings)
    if blocking and work.half_way:
        raise PhaseFailed(blocking[0].name, f"{blocking[0].message}. {blocking[0].remedy}")
    if blocking and work.spec.mode is not Mode.PLAN:
        return await session.refuse(work, blocking)
    if (held := await held_back(session, work, await keep(session, work, plan), blocking)) is not None:
        return held
    session.report.opened(work, session.digest(), back=back)
    await session.hold_on(work)
    work.verified = back.revision
    phase = GoingBack()
    await session.report.phase_begun(phase, work, tell=True)
    session.report.phase_done(phase, work, await phase.apply(work))
    session.report.verified(work)
    session.report.observed(work, await readiness_of(work))
    for after in ONCE_PHASES:
        await session.report.phase_begun(after, work, tell=False)
        session.report.phase_done(after, work, await after.apply(work))
    session.report.counted(work)
    await session.report.went_back(work, superseded=work.superseded())
    await session.rest(work, State.COMPLETED)
    # What else of the spec is other than it was at that revision, its values above all, is brought about next.
    return 0.0


async def plan_back(work: Work, back: HistoryEntry, history: Sequence[HistoryEntry]) -> Plan:
    """Give the plan of going back to what an entry of history speaks of, with what was found; nothing is written."""
    assert back.revision is not None
    release = await work.storage.read(back.revision)
    work.hops = [work.need_goal()]
    work.undo = to_undo(history, back.version, back.revision)
    afterwards = await plan_phases(ONCE_PHASES, work)
    findings = await going_back_findings(work, release)
    findings += [finding for planned in afterwards for finding in planned.findings]
    return make_back_plan(work, release, back, findings, Afterwards.of(afterwards), history, now())


async def take_request(session: Session, work: Work) -> bool:
    """Take in the annotation that asks for a rollback: begin it, or tell why not, once. Tell whether there was one."""
    asked = rollback_requested(session.obj)
    session.report.rollback_asked(asked)
    if not asked or asked == session.report.status.last_handled_rollback or work.half_way:
        return False
    await _take(session, work, asked)
    return True


async def _take(session: Session, work: Work, asked: str) -> None:
    stored = {str(stored.revision) for stored in work.revisions}
    verified = [entry for entry in session.report.status.history if entry.verified and str(entry.revision) in stored]
    entry = next((entry for entry in verified if str(entry.revision) == asked), None)
    if entry is None or entry.revision is None:
        known = ", ".join(f"{entry.revision} ({entry.version})" for entry in verified) or "none"
        why = f"{ROLLBACK_REQUESTED} names {asked!r}, which is no stored revision that history records as verified: "
        await session.report.rollback_refused(asked, f"{why}these are {known}")
        return
    found = await going_back_findings(work, await work.storage.read(entry.revision))
    accepted = frozenset(work.spec.upgrade.accept_risks)
    if blocking := [finding for finding in found if finding.blocks(accepted)]:
        await session.report.rollback_refused(asked, f"{blocking[0].message}. {blocking[0].remedy}")
        return
    attempts = Attempts(
        input_digest=session.digest(),
        count=work.spec.upgrade.retries + 1,
        message=f"a rollback to revision {entry.revision}, version {entry.version}, was requested",
        reason=Reason.ROLLBACK_REQUESTED,
        remediation=Remediation.DUE,
        revision=entry.revision,
    )
    await session.report.rollback_taken(asked, attempts)
