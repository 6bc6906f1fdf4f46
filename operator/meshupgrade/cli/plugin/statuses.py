"""`status`: where a MeshUpgrade is, and what the workloads of its mesh run."""

from rich.console import Group

from meshupgrade.cli.plugin.options import Where
from meshupgrade.cli.plugin.output import Format, show, write
from meshupgrade.cli.plugin.session import connect
from meshupgrade.cli.plugin.sidecars import Sidecars, find_sidecars
from meshupgrade.cli.plugin.sidecars_view import sidecar_lines
from meshupgrade.cli.plugin.status_view import status_tree
from meshupgrade.cli.plugin.upgrades import Upgrade, find_some

__all__ = ["show_status"]


async def show_status(where: Where, name: str | None, form: Format | None, *, everything: bool) -> None:
    """Show MeshUpgrades; the workloads too, where it is one. Raises UserError."""
    async with connect(where) as session:
        for upgrade in await find_some(session, name):
            # To look at the Pods of all meshes of a cluster takes a request for each hundred of them.
            sidecars = None if where.everywhere else await find_sidecars(session, upgrade)
            _show(upgrade, sidecars, form, everything=everything)


def _show(upgrade: Upgrade, sidecars: Sidecars | None, form: Format | None, *, everything: bool) -> None:
    upgrade = sidecars.seen_in(upgrade) if sidecars is not None else upgrade
    if form is None:
        lines = sidecar_lines(sidecars, everything=everything) if sidecars is not None else ()
        show(Group(status_tree(upgrade), *lines))
        return
    status = upgrade.status.model_dump(mode="json", by_alias=True, exclude_none=True)
    content = {"namespace": upgrade.namespace, "name": upgrade.name, "status": status}
    write(content | (sidecars.data() if sidecars is not None else {}), form)
