"""What status.history tells of the MeshConfig: by which release it is, and what a way back has to undo in it."""

import hashlib
from collections.abc import Sequence

from meshupgrade.api.v1alpha1.status import HistoryAction, HistoryEntry, HistoryState, Phase

__all__ = ["goes_back", "merged_revision", "snapshot_name", "to_undo"]

History = Sequence[HistoryEntry]

UNFINISHED = (HistoryState.FAILED, HistoryState.PARTIAL)


def merged_revision(history: History) -> int | None:
    """Give the newest revision whose defaults the MeshConfig was brought up to, or has been left with; None if none.

    An attempt that ended before it came to the MeshConfig, a hop on the way above all, left it as it was; so did one
    that was seen healthy, and adopted, only after it had failed. A rollback counts as what it went back to.
    """
    for index, entry in enumerate(history):
        older = history[index + 1 :]
        if entry.action is HistoryAction.ROLLBACK and entry.state is HistoryState.COMPLETED:
            return _went_back_to(entry, older)
        adopted = entry.action is HistoryAction.ADOPT and not _was_given_up(entry, older)
        if adopted or (entry.state is not HistoryState.ROLLED_BACK and _reached_mesh_config(entry)):
            return entry.revision
    return None


def to_undo(history: History, version: str, revision: int | None = None) -> list[str]:
    """Give the snapshots of the MeshConfig that lie between now and a verified version, the newest first.

    With ``revision`` that revision of it is meant, else the newest. A way back that has begun is no part of it, nor
    one that ended before it came to the MeshConfig the version that is meant.
    """
    entries = history[1:] if history and _is_unfinished_way_back(history[0], HistoryState.PARTIAL) else history
    names: list[str] = []
    for entry in entries:
        meant = entry.verified and entry.version == version and revision in (None, entry.revision)
        if meant and not _is_unfinished_way_back(entry, *UNFINISHED):
            return names
        if meant:
            revision = None
        names += [entry.mesh_config_snapshot] if entry.mesh_config_snapshot else []
    return []


def goes_back(history: History, version: str) -> bool:
    """Tell whether the newest attempts were to go back to the version, and have not come to the MeshConfig."""
    for entry in history:
        if entry.version != version or entry.state in (HistoryState.COMPLETED, HistoryState.ROLLED_BACK):
            return False
        if _reached_mesh_config(entry):
            return False
        if entry.action is HistoryAction.ROLLBACK:
            return True
    return False


def snapshot_name(uid: str, entry: HistoryEntry, *, rollback: bool = False) -> str:
    """Give the name of the Secret for the MeshConfig before an attempt, or before the rollback that followed it."""
    began = int(entry.started_time.timestamp())
    text = f"{uid}/{began}/{entry.version}/{entry.input_digest}/{'rollback' if rollback else ''}"
    return f"meshupgrade-mesh-config-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _went_back_to(rollback: HistoryEntry, older: History) -> int | None:
    """Give the same for a rollback, whose own revision has the defaults of the one that it was made from."""
    for index, entry in enumerate(older):
        if entry.verified and entry.version == rollback.version:
            merged = merged_revision(older[index:])
            return rollback.revision if merged == entry.revision else merged
    return rollback.revision


def _was_given_up(adopted: HistoryEntry, older: History) -> bool:
    return bool(older) and older[0].state in UNFINISHED and older[0].version == adopted.version


def _reached_mesh_config(entry: HistoryEntry) -> bool:
    return any(phase.name == Phase.MESH_CONFIG for phase in entry.phases)


def _is_unfinished_way_back(entry: HistoryEntry, *states: HistoryState) -> bool:
    return entry.action is HistoryAction.ROLLBACK and entry.state in states and not _reached_mesh_config(entry)
