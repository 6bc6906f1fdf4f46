"""What the demo shows: steps, the phases as they go, and the end of the tale."""

import time
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

Object = dict[str, Any]

PHASES = (
    ("Path", "PathValidated"),
    ("Preflight", "PreflightPassed"),
    ("CRDs", "CRDsApplied"),
    ("ControlPlane", "ControlPlaneUpgraded"),
    ("Storage", "StorageMigrated"),
    ("MeshConfig", "MeshConfigPatched"),
    ("DataPlane", "DataPlaneRestarted"),
    ("Addons", "AddonsUpgraded"),
)
MARKS = {"True": ("✔", "green"), "False": ("✘", "yellow"), "Unknown": ("…", "cyan")}


class DemoFailed(Exception):
    """Something that the demo promises to show was not seen."""


class Screen:
    """Writes to the terminal; without one, the live table is printed once, at its end."""

    def __init__(self) -> None:
        self.console = Console(highlight=False, width=None if Console().is_terminal else 150)

    def step(self, text: str) -> None:
        """Begin a step."""
        self.console.print()
        self.console.print(Text(f"▶ {text}", style="bold"))

    def command(self, text: str, output: str) -> None:
        """Show a command as a user types it, and what it answered."""
        self.console.print(Text(f"$ {text}", style="dim"))
        self.console.print(Text(output.rstrip()))

    def seen(self, what: str, proof: bool) -> None:
        """Tick off what was promised. Raises DemoFailed when it was not seen."""
        mark, style = ("✔", "green") if proof else ("✘", "red")
        self.console.print(Text(f"  {mark} {what}", style=style))
        if not proof:
            raise DemoFailed(what)

    def follow(self, read: Callable[[], Object], done: Callable[[Object], bool], seconds: float = 120) -> Object:
        """Show the phases of a MeshUpgrade until it is done, and give it. Raises DemoFailed when it never is."""
        deadline = time.monotonic() + seconds
        with Live(console=self.console, refresh_per_second=10, transient=False) as live:
            while True:
                obj = read()
                live.update(phases_table(obj))
                if done(obj):
                    break
                if time.monotonic() > deadline:
                    raise DemoFailed(f"the upgrade did not end within {seconds:.0f} s")
                time.sleep(0.1)
        self.console.print()
        return obj


def phases_table(obj: Object) -> Table:
    """Give the phases of a MeshUpgrade as a table."""
    conditions = {item["type"]: item for item in obj.get("status", {}).get("conditions", [])}
    table = Table(box=None, padding=(0, 1), show_header=False)
    for name, kind in PHASES:
        condition = conditions.get(kind, {"status": "Unknown", "reason": "Pending", "message": ""})
        mark, style = MARKS[condition["status"]]
        if condition["reason"] == "ReportedOnly":
            mark = "i"
        if condition["reason"] == "Pending":
            mark, style = "·", "dim"
        table.add_row(Text(mark, style=style), Text(name, style=style), Text(condition["reason"], style="dim"),
                      Text(condition["message"]))  # fmt: skip
    return table
