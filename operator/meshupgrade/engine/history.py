"""status.history: one entry an upgrade, begun before its first write and closed at its end."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from meshupgrade.api.v1alpha1.status import MAX_HISTORY, HistoryEntry, HistoryState, PhaseDuration

__all__ = ["begin", "change_newest", "reopen", "under_way", "with_duration"]

History = Sequence[HistoryEntry]


def under_way(history: History, version: str) -> bool:
    """Tell whether the newest entry is an upgrade to that version that has not ended."""
    return bool(history) and history[0].state is HistoryState.PARTIAL and history[0].version == version


def begin(history: History, version: str, **fields: Any) -> list[HistoryEntry]:
    """Give the history with an upgrade under way; one that is, after a crash, is the same one."""
    if under_way(history, version):
        return list(history)
    entry = HistoryEntry(version=version, state=HistoryState.PARTIAL, **fields)
    return [entry, *_closed(history, fields["started_time"])][:MAX_HISTORY]


def reopen(history: History, version: str) -> list[HistoryEntry]:
    """Give the history with a failed upgrade to that version under way again; any other history as it is."""
    if history and history[0].version == version and history[0].state is HistoryState.FAILED:
        return change_newest(history, state=HistoryState.PARTIAL, completion_time=None)
    return list(history)


def change_newest(history: History, **fields: Any) -> list[HistoryEntry]:
    """Give the history with fields of the newest entry set."""
    return [history[0].model_copy(update=fields), *history[1:]] if history else []


def with_duration(history: History, phase: str, seconds: float) -> list[HistoryEntry]:
    """Give the history with the time that a phase of the newest entry took; a later attempt replaces an earlier one."""
    if not history:
        return []
    kept = [item for item in history[0].phases if item.name != phase]
    return change_newest(history, phases=[*kept, PhaseDuration(name=phase, seconds=round(seconds, 2))])


def _closed(history: History, at: datetime) -> list[HistoryEntry]:
    """End an upgrade that another one overtakes; it stays Partial."""
    if history and history[0].state is HistoryState.PARTIAL and history[0].completion_time is None:
        return change_newest(history, completion_time=at)
    return list(history)
