"""A mesh at rest: its MeshConfig kept, its sidecars counted, drift looked for, and newer versions listed."""

import logging

from meshupgrade.api.v1alpha1.spec import DriftPolicy
from meshupgrade.domain.state import State
from meshupgrade.domain.windows import is_open, next_opening
from meshupgrade.engine.holding import PAUSE_LOOK
from meshupgrade.engine.planning import ONCE_PHASES
from meshupgrade.engine.session import Session
from meshupgrade.engine.status import now
from meshupgrade.helm.repository import RepositoryError
from meshupgrade.phases.data_plane import DataPlane
from meshupgrade.phases.drift import look_for_drift
from meshupgrade.phases.references import ReferenceInvalid
from meshupgrade.phases.resolution import available_versions, chart_listing
from meshupgrade.phases.shape import Work

__all__ = ["look_after", "until_correction"]

logger = logging.getLogger(__name__)


async def look_after(session: Session, work: Work) -> float | None:
    """Look after a mesh at rest: keep the MeshConfig as the spec says, count again, and look for drift.

    In a pause of the cluster nothing is touched, and what was seen last stays. Gives the seconds until the next look;
    None when workloads have to be restarted, which is planned, approved and told as an upgrade is.
    """
    if await session.turn.gate.why_paused():
        await session.report.unchanged()
        return min(PAUSE_LOOK, await session.rest(work, State.COMPLETED))
    for phase in ONCE_PHASES:
        if not isinstance(phase, DataPlane):
            session.report.looked_after(phase, await phase.apply(work))
            continue
        outcome = await phase.count(work)
        if await phase.due(work):
            return None
        session.report.looked_after(phase, outcome)
    session.report.counted(work)
    await session.report.drift(work, await look_for_drift(work, now()))
    await _list_available(session, work)
    await session.report.unchanged()
    return until_correction(session, work, await session.rest(work, State.COMPLETED))


def until_correction(session: Session, work: Work, rest: float) -> float:
    """Give the seconds until a window opens in which drift is put back, when that is sooner than ``rest``."""
    windows, at = work.spec.upgrade.windows, now()
    due = work.spec.drift_policy is DriftPolicy.CORRECT and session.report.has_drifted()
    opening = next_opening(windows, at) if due and not is_open(windows, at) else None
    return rest if opening is None else min(rest, (opening - at).total_seconds() + 0.1)


async def _list_available(session: Session, work: Work) -> None:
    """Put in what the repository lists by now; one that does not answer is no trouble for a mesh at rest."""
    try:
        listing = await chart_listing(work)
    except (RepositoryError, ReferenceInvalid) as error:
        logger.info("%s: the versions that are available cannot be listed now: %s", session.writer.ref, error)
        return
    session.report.listed(available_versions(work, listing))
