"""status.history: one entry an attempt, begun before its first write and closed at its end, the newest first."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from meshupgrade.api.v1alpha1.status import MAX_HISTORY, HistoryAction, HistoryEntry, HistoryState, PhaseDuration

__all__ = [
    "adopt",
    "begin",
    "change_newest",
    "half_way",
    "last_verified",
    "rolled_back",
    "under_way",
    "verified_before",
    "with_duration",
]

History = Sequence[HistoryEntry]

MAX_MESSAGE = 1024


def under_way(history: History, version: str) -> bool:
    """Tell whether the newest entry is an attempt for that version that has not ended."""
    return bool(history) and history[0].state is HistoryState.PARTIAL and history[0].version == version


def half_way(history: History, version: str, input_digest: str) -> bool:
    """Tell whether the mesh may have been left between two versions by an attempt for these inputs."""
    if under_way(history, version):
        return True
    newest = history[0] if history else None
    return newest is not None and newest.state is HistoryState.FAILED and newest.input_digest == input_digest


def begin(history: History, version: str, **fields: Any) -> list[HistoryEntry]:
    """Give the history with an attempt under way; one that is, after a crash, is the same one.

    A further attempt for the same inputs still comes from the version that the first one came from.
    """
    if under_way(history, version):
        return list(history)
    if half_way(history, version, fields["input_digest"]):
        fields["from_"] = history[0].from_
    entry = HistoryEntry(version=version, state=HistoryState.PARTIAL, **fields)
    return _bounded([entry, *_closed(history, fields["started_time"])])


def adopt(history: History, version: str, revision: int, at: datetime) -> list[HistoryEntry]:
    """Give the history with a revision that others made and that was seen healthy, unless it is recorded already."""
    if any(entry.verified and entry.revision == revision for entry in history):
        return list(history)
    entry = _verified(HistoryAction.ADOPT, version, revision, from_=version, started_time=at, completion_time=at)
    return _bounded([entry, *_closed(history, at)])


def rolled_back(
    history: History, version: str, revision: int, *, began: datetime, ended: datetime, snapshot: str = ""
) -> list[HistoryEntry]:
    """Give the history with the newest attempt rolled back, and the rollback that ended well at that revision.

    ``snapshot`` names the Secret with the MeshConfig as it was before the rollback put it back.
    """
    attempt = history[0]
    entry = _verified(
        HistoryAction.ROLLBACK,
        version,
        revision,
        from_=attempt.version,
        started_time=began,
        completion_time=ended,
        phases=[PhaseDuration(name="RollingBack", seconds=(ended - began).total_seconds())],
        mesh_config_snapshot=snapshot,
    )
    return _bounded([entry, *change_newest(history, state=HistoryState.ROLLED_BACK)])


def last_verified(history: History, stored: Collection[int]) -> HistoryEntry | None:
    """Give the newest entry whose revision was verified and is still stored by Helm."""
    return next((entry for entry in history if entry.verified and entry.revision in stored), None)


def verified_before(history: History, stored: Collection[int], current: str) -> HistoryEntry | None:
    """Give the entry of the version that was verified before the current one, and is still stored by Helm."""
    older = (entry for entry in history if entry.verified and entry.revision in stored and entry.version != current)
    return next(older, None)


def change_newest(history: History, **fields: Any) -> list[HistoryEntry]:
    """Give the history with fields of the newest entry set; a message is cut to what the API takes."""
    if not history:
        return []
    if len(text := fields.get("message", "")) > MAX_MESSAGE:
        fields["message"] = text[: MAX_MESSAGE - 2] + " …"
    return [history[0].model_copy(update=fields), *history[1:]]


def with_duration(history: History, phase: str, seconds: float) -> list[HistoryEntry]:
    """Give the history with the time that a phase of the newest entry took; after a crash the later time counts."""
    if not history:
        return []
    kept = [item for item in history[0].phases if item.name != phase]
    return change_newest(history, phases=[*kept, PhaseDuration(name=phase, seconds=round(seconds, 2))])


def _verified(action: HistoryAction, version: str, revision: int, **fields: Any) -> HistoryEntry:
    return HistoryEntry(
        action=action, version=version, revision=revision, verified=True, state=HistoryState.COMPLETED, **fields
    )


def _closed(history: History, at: datetime) -> list[HistoryEntry]:
    """End an attempt that another one overtakes; it stays Partial."""
    if history and history[0].state is HistoryState.PARTIAL and history[0].completion_time is None:
        return change_newest(history, completion_time=at)
    return list(history)


def _bounded(history: list[HistoryEntry]) -> list[HistoryEntry]:
    """Keep the newest entries, and whatever their number the newest that is verified: a rollback goes there."""
    kept, rest = history[:MAX_HISTORY], history[MAX_HISTORY:]
    if any(entry.verified for entry in kept):
        return kept
    verified = next((entry for entry in rest if entry.verified), None)
    return [*kept[:-1], verified] if verified is not None else kept
