"""Which sidecars the workloads of a mesh run, as the cluster has it now, with the caller's own rights."""

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from meshupgrade.api.v1alpha1.spec import DistributionName
from meshupgrade.api.v1alpha1.status import DataPlaneStatus
from meshupgrade.cli.plugin.output import clean_text
from meshupgrade.cli.plugin.session import Session
from meshupgrade.cli.plugin.upgrades import Upgrade
from meshupgrade.distributions import load_distribution
from meshupgrade.domain.sidecars import SidecarState
from meshupgrade.kube.errors import Forbidden

if TYPE_CHECKING:
    from meshupgrade.phases.data_plane.in_use import WorkloadUse

__all__ = ["Sidecars", "WorkloadRow", "find_sidecars"]

WORST_FIRST = (SidecarState.OUTDATED, SidecarState.UNKNOWN, SidecarState.CURRENT)


@dataclass(frozen=True)
class WorkloadRow:
    """One workload, and how many of its Pods run what."""

    namespace: str
    kind: str
    name: str
    pods: int
    current: int
    outdated: int
    unknown: int
    state: SidecarState
    outdated_by: str
    """The container that makes it outdated, empty when it is not."""


@dataclass(frozen=True)
class Sidecars:
    """What was found; ``forbidden`` says what the caller may not list, and then nothing was."""

    workloads: tuple[WorkloadRow, ...] = ()
    unmanaged: tuple[str, ...] = ()
    counts: DataPlaneStatus | None = None
    forbidden: str = ""

    def seen_in(self, upgrade: Upgrade) -> Upgrade:
        """Give the MeshUpgrade with these counts in the place of those that its status has."""
        if self.counts is None:
            return upgrade
        known = upgrade.status.data_plane or DataPlaneStatus()
        # Who is excluded, and how far a restart has come, only the operator knows.
        workloads = self.counts.workloads.model_copy(update={"excluded": known.workloads.excluded})
        counts = self.counts.model_copy(update={"workloads": workloads, "restart": known.restart})
        return replace(upgrade, status=upgrade.status.model_copy(update={"data_plane": counts}))

    def data(self) -> dict[str, Any]:
        """Give it for a program; the lists are missing where the caller may not look."""
        if self.forbidden:
            return {"forbidden": self.forbidden}
        return {"workloads": [vars(row) | {"state": str(row.state)} for row in self.workloads],
                "unmanaged": list(self.unmanaged)}  # fmt: skip


async def find_sidecars(session: Session, upgrade: Upgrade) -> Sidecars | None:
    """Look at all Pods of the mesh; None for a distribution that this release does not know.

    Raises the errors of kube, but for Forbidden.
    """
    # It takes half of what the operator has; the other commands start in less time without it.
    from meshupgrade.phases.data_plane.in_use import look
    from meshupgrade.phases.data_plane.injected import MeshAt

    mesh = upgrade.spec.get("mesh") or {}
    if mesh.get("distribution") not in set(DistributionName):
        return None
    facts = load_distribution(DistributionName(mesh["distribution"]))
    try:
        in_use = await look(MeshAt(session.kube, facts, upgrade.namespace, mesh.get("name") or facts.mesh_name))
    except Forbidden as error:
        return Sidecars(forbidden=clean_text(str(error)))
    rows = sorted((_row(use) for use in in_use.workloads.values()), key=_order)
    return Sidecars(tuple(rows), tuple(clean_text(owner) for owner in sorted(in_use.unmanaged)), in_use.status())


def _row(use: "WorkloadUse") -> WorkloadRow:
    pods = Counter(pod.state for pod in use.pods)
    ref = use.ref
    return WorkloadRow(
        namespace=str(ref.namespace),
        kind=ref.kind,
        name=ref.name,
        pods=pods.total(),
        current=pods[SidecarState.CURRENT],
        outdated=pods[SidecarState.OUTDATED],
        unknown=pods[SidecarState.UNKNOWN],
        state=use.state,
        outdated_by=use.outdated_by,
    )


def _order(row: WorkloadRow) -> tuple[int, str, str, str]:
    return WORST_FIRST.index(row.state), row.namespace, row.kind, row.name
