"""What `status` shows of the data plane: a table of workloads, those first that run something else."""

from collections.abc import Iterator

from rich.console import RenderableType
from rich.text import Text

from meshupgrade.cli.plugin.sidecars import Sidecars
from meshupgrade.cli.plugin.tables import make_table
from meshupgrade.domain.sidecars import SidecarState

__all__ = ["sidecar_lines"]

MAX_ROWS = 20
MAX_OWNERS = 5
STYLES = {SidecarState.CURRENT: "green", SidecarState.OUTDATED: "red", SidecarState.UNKNOWN: "yellow"}


def sidecar_lines(sidecars: Sidecars, *, everything: bool) -> Iterator[RenderableType]:
    """Yield the table, or one line that says why there is none; at most 20 workloads, unless all are asked for."""
    if sidecars.forbidden:
        yield Text(f"The sidecars are those that the operator counted: {sidecars.forbidden}", style="yellow")
        return
    shown = sidecars.workloads if everything else sidecars.workloads[:MAX_ROWS]
    if shown:
        table = make_table("NAMESPACE", "KIND", "NAME", "PODS", "CURRENT", "OUTDATED", "UNKNOWN", "SIDECAR")
        for row in shown:
            counts = (str(count) for count in (row.pods, row.current, row.outdated, row.unknown))
            # The sidecar is what one thinks of first; the init container is not.
            why = f" ({row.outdated_by})" if row.outdated_by == "init container" else ""
            table.add_row(row.namespace, row.kind, row.name, *counts, Text(row.state + why, style=STYLES[row.state]))
        yield table
    if hidden := len(sidecars.workloads) - len(shown):
        yield Text(f"… and {hidden} more; --all shows all", style="dim")
    if sidecars.unmanaged:
        names = sidecars.unmanaged if everything else sidecars.unmanaged[:MAX_OWNERS]
        rest = len(sidecars.unmanaged) - len(names)
        more = f" … and {rest} more; --all shows all" if rest else ""
        yield Text(f"Of no workload that would bring them back: {', '.join(names)}{more}")
