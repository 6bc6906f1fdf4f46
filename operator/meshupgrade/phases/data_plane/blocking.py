"""What keeps workloads from being restarted now: who would be hurt by it is left for a later wave."""

from collections.abc import Collection
from dataclasses import dataclass

from meshupgrade.api.v1alpha1.conditions import Reason
from meshupgrade.kube.client import ObjectRef
from meshupgrade.phases.data_plane.budgets import Budgets, read_budgets
from meshupgrade.phases.data_plane.live import LiveWorkloads
from meshupgrade.phases.data_plane.restart import Failed
from meshupgrade.phases.shape import Work

__all__ = ["Blocking", "look_for_blocking"]


@dataclass(frozen=True)
class Blocking:
    """What speaks against the restart of some workloads."""

    unfit: dict[ObjectRef, str]
    """Workloads that are not well as they are, and why."""

    budgets: Budgets

    def why(self, ref: ObjectRef) -> Failed:
        """Give why a workload is not restarted."""
        if ref in self.unfit:
            return Failed(ref, Reason.UNHEALTHY, f"it was not touched, since it {self.unfit[ref]}")
        spent = [name for name in self.budgets.of.get(ref, ()) if self.budgets.allowed.get(name, 0) < 1]
        if not spent:
            return Failed(ref, Reason.UNHEALTHY, "it was not touched, since somebody else changes it all the time")
        return Failed(
            ref,
            Reason.DISRUPTION_FORBIDDEN,
            f"it was not touched, since PodDisruptionBudget {', '.join(spent)} allows none of its Pods to go; let it "
            "allow one, or have the workload left alone by the annotation meshupgrade.io/restart: Never",
        )


async def look_for_blocking(
    work: Work, workloads: LiveWorkloads, refs: Collection[ObjectRef], in_flight: Collection[ObjectRef]
) -> Blocking:
    """Look what speaks against the restart of these workloads; of those in flight nothing does."""
    lives = [live for ref in refs if (live := workloads.get(ref)) is not None]
    unfit: dict[ObjectRef, str] = {}
    for live in lives:
        if live.ref in in_flight:
            continue
        if live.paused:
            unfit[live.ref] = "is paused; resume it with kubectl rollout resume"
        elif not live.ready:
            unfit[live.ref] = "is not ready, or somebody else changes it just now"
    return Blocking(unfit, await read_budgets(work, lives))
