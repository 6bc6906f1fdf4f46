"""Where a mesh is: its release, its health, the attempts of before, and the hop in which one of them was left."""

from collections.abc import Sequence

import semver

from meshupgrade.api.v1alpha1.names import OWNER_LABEL
from meshupgrade.api.v1alpha1.status import HistoryEntry, Remediation
from meshupgrade.domain.state import State, after_failure
from meshupgrade.domain.versions import parse_version
from meshupgrade.engine import history
from meshupgrade.engine.mesh_config_history import goes_back, merged_revision, to_undo
from meshupgrade.engine.recovery import unlock_own
from meshupgrade.engine.session import Session, readiness_of
from meshupgrade.helm.release import ReleaseStatus
from meshupgrade.helm.storage import StoredRevision
from meshupgrade.phases.shape import Work
from meshupgrade.phases.values import find_base

__all__ = [
    "begun_hop",
    "is_under_way",
    "known_goal",
    "last_verified",
    "observe",
    "preset_revision",
    "read_release",
    "spent_on",
    "undo_of",
    "version_before",
]


async def observe(session: Session, work: Work) -> None:
    """Read the release, unlock it when it is ours and abandoned, and see whether the mesh is healthy."""
    status = session.report.status
    work.revisions = await work.storage.revisions()
    if work.revisions and await unlock_own(work.storage, work.revisions[0], status.helm_process, work.uid):
        work.revisions = await work.storage.revisions()
    await read_release(work, status.history)
    session.report.observed(work, await readiness_of(work) if work.live is not None else None)


async def read_release(work: Work, entries: Sequence[HistoryEntry]) -> None:
    """Read what runs out of the stored revisions, and which of them was verified last; there may be no release."""
    if not work.revisions or work.revisions[0].status is ReleaseStatus.UNINSTALLED:
        # What `helm uninstall --keep-history` leaves is no release, for Helm too.
        return
    deployed = (stored for stored in work.revisions if stored.status is ReleaseStatus.DEPLOYED)
    work.live = await work.storage.read(next(deployed, work.revisions[0]).revision)
    verified = history.last_verified(entries, {stored.revision for stored in work.revisions})
    work.verified = verified.revision if verified is not None else None
    before = _verified_before(entries, work)
    lower = before is not None and parse_version(before.version).compare(work.current_version()) < 0
    work.version_before = before.version if before is not None and lower else ""
    work.preset_revision = preset_revision(work, merged_revision(entries))
    work.base = await find_base(work)


def preset_revision(work: Work, merged: int | None) -> int | None:
    """Give the stored revision by whose defaults the MeshConfig is to be judged; None when it is not stored any more.

    One that others made later than what history knows is adopted as it is, and its defaults with it.
    """
    newest = max(merged or 0, next((each.revision for each in work.revisions if _is_of_others(each, work.uid)), 0))
    return newest if any(stored.revision == newest for stored in work.revisions) else None


def _is_of_others(stored: StoredRevision, uid: str) -> bool:
    """Tell whether a revision that was in use was made by others; that a rollback starts from it makes it no news.

    Helm hands our label on to later revisions, and a rollback writes its own into the one that it starts from.
    """
    owner, _, made = stored.labels.get(OWNER_LABEL, "").rpartition(".")
    ours = owner == uid and made.isdecimal() and int(made) >= stored.revision
    return stored.status in (ReleaseStatus.DEPLOYED, ReleaseStatus.SUPERSEDED) and not ours


def spent_on(session: Session, work: Work) -> Remediation | None:
    """Give what becomes of the release when the attempts for these inputs are used up, else None."""
    attempts = session.report.status.attempts
    if attempts is None:
        return None
    if work.value_findings and attempts.remediation is Remediation.DUE:
        # The inputs cannot be read any more, which is no reason to leave the mesh half-way.
        return Remediation.DUE
    if attempts.input_digest != session.digest():
        return None
    if after_failure(attempts.count, work.spec.upgrade.retries) is not State.FAILED:
        return None
    return attempts.remediation or Remediation.HELD


def begun_hop(session: Session, work: Work) -> semver.Version | None:
    """Give the hop in which a run died, or failed, when it is on the way to the goal.

    With other inputs, one that is not the goal itself is no longer wanted: the way is planned from where the mesh is.
    """
    entries, digest = session.report.status.history, session.digest()
    if not entries or work.goal is None or not history.half_way(entries, entries[0].version, digest):
        return None
    hop = parse_version(entries[0].version)
    on_the_way = hop.compare(work.goal) < 0 and entries[0].input_digest == digest
    return hop if hop == work.goal or on_the_way else None


def known_goal(session: Session) -> semver.Version | None:
    """Give what the version in the spec was resolved to before."""
    known = session.report.status.target_version
    return parse_version(known) if known else None


def last_verified(session: Session, work: Work) -> HistoryEntry | None:
    """Give the newest entry of history whose revision was verified and is still stored."""
    return history.last_verified(session.report.status.history, {stored.revision for stored in work.revisions})


def version_before(entries: Sequence[HistoryEntry], work: Work) -> HistoryEntry | None:
    """Give the entry to go back to, when the spec names the version that was verified before the one that runs."""
    if work.live is None or work.wanted.exact is None or work.need_goal().compare(work.current_version()) >= 0:
        return None
    entry = _verified_before(entries, work)
    return entry if entry is not None and parse_version(entry.version) == work.goal else None


def _verified_before(entries: Sequence[HistoryEntry], work: Work) -> HistoryEntry | None:
    stored = {stored.revision for stored in work.revisions}
    return history.verified_before(entries, stored, str(work.current_version()))


def undo_of(session: Session, work: Work) -> list[str] | None:
    """Give what is to be undone in the MeshConfig by a way back that a run died in; None when there is none such."""
    entries, version = session.report.status.history, str(work.version)
    return to_undo(entries, version) if work.half_way and goes_back(entries, version) else None


def is_under_way(session: Session) -> bool:
    """Tell whether an attempt has begun to write and has not ended."""
    entries = session.report.status.history
    return bool(entries) and history.under_way(entries, entries[0].version)
