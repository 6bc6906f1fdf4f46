"""The tables: the history of a MeshUpgrade, and the versions that its repository lists."""

from datetime import datetime

from rich.table import Table
from rich.text import Text

from meshupgrade.api.v1alpha1.status import HistoryEntry, HistoryState
from meshupgrade.cli.plugin.upgrades import Upgrade
from meshupgrade.cli.plugin.words import duration, step, when

__all__ = ["history_table", "make_table", "versions_table"]

STATES = {
    HistoryState.COMPLETED: "green",
    HistoryState.PARTIAL: "yellow",
    HistoryState.ROLLED_BACK: "magenta",
    HistoryState.FAILED: "red",
}


def history_table(upgrade: Upgrade, now: datetime) -> Table:
    """Give every attempt, the newest first."""
    table = make_table("REVISION", "ACTION", "VERSION", "STATE", "VERIFIED", "STARTED", "TOOK", "RISKS", "MESSAGE")
    for entry in upgrade.status.history:
        table.add_row(
            str(entry.revision or ""),
            Text(entry.action),
            Text(step(entry.from_, entry.version)),
            Text(entry.state, style=STATES[entry.state]),
            "yes" if entry.verified else "no",
            when(entry.started_time),
            _took(entry, now),
            Text(", ".join(entry.accepted_risks)),
            Text(" ".join(entry.message.split())),
        )
    return table


def versions_table(upgrade: Upgrade) -> Table:
    """Give the versions that the repository lists, and why one may not be taken."""
    table = make_table("VERSION", "", "ALLOWED", "WHY NOT")
    for available in upgrade.status.available_versions:
        roles = {"current": upgrade.status.current_version, "target": upgrade.status.target_version}
        why = ": ".join(part for part in (available.reason, available.message) if part)
        table.add_row(
            Text(available.version, style="bold" if available.version in roles.values() else ""),
            Text(", ".join(role for role, version in roles.items() if version == available.version), style="cyan"),
            Text("yes", style="green") if available.allowed else Text("no", style="red"),
            Text("" if available.allowed else why),
        )
    return table


def make_table(*columns: str) -> Table:
    """Give an empty table as all commands show them."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    for column in columns:
        last = column == columns[-1]
        table.add_column(column, no_wrap=not last, overflow="fold")
    return table


def _took(entry: HistoryEntry, now: datetime) -> str:
    if entry.completion_time is None:
        return f"{duration((now - entry.started_time).total_seconds())} so far"
    return duration((entry.completion_time - entry.started_time).total_seconds())
