"""A plan in short, as an approver is asked about it."""

from collections.abc import Iterator

from rich.text import Text

from meshupgrade.api.v1alpha1.plan import PlanSummary
from meshupgrade.cli.plugin.plan_view import findings_lines
from meshupgrade.cli.plugin.upgrades import Upgrade
from meshupgrade.cli.plugin.words import duration, when
from meshupgrade.domain.words import amount

__all__ = ["summary_lines"]


def summary_lines(upgrade: Upgrade, plan: PlanSummary) -> list[Text]:
    """Give the summary of a plan, with what was found."""
    return list(_lines(upgrade, plan))


def _lines(upgrade: Upgrade, plan: PlanSummary) -> Iterator[Text]:
    way = " → ".join([plan.current or "install", *(hop for hop in plan.hops if hop != plan.current)])
    yield Text.assemble("Plan for ", (str(upgrade), "bold"), ": ", (way, "bold"))
    yield Text(f"Digest {plan.digest}   made {when(plan.created_at)}", style="dim")
    yield from findings_lines(upgrade.status.findings, upgrade.accepted_risks())
    counts = {
        "CRDs": plan.crds,
        "objects created": plan.created,
        "updated": plan.updated,
        "deleted and created again": plan.recreated,
        "deleted": plan.deleted,
        "workloads whose Pods are replaced": plan.restarts,
        "fields of the MeshConfig": plan.mesh_config,
        "images of addons": plan.addons,
    }
    told = ", ".join(f"{what} {count}" for what, count in counts.items() if count)
    if told:
        yield Text(f"Changes: {told}")
    if plan.data_plane:
        be = "is" if plan.data_plane == 1 else "are"
        workloads = f"{amount(plan.data_plane, 'workload')} {be} restarted"
        yield Text(f"Data plane: {workloads}, in {amount(plan.waves, 'wave')}")
    if not plan.changes:
        yield Text("Nothing would change.")
    if plan.estimate_seconds is not None:
        yield Text(f"It will take about {duration(plan.estimate_seconds)}, by the history of this mesh.")
