"""Phase 7, DataPlane: the workloads of the mesh are counted by their sidecar and, if the spec says so, restarted.

A control plane upgrade leaves running sidecars alone: a Pod gets the new one when it is made anew.
"""

from meshupgrade.api.v1alpha1.conditions import ConditionType, Reason
from meshupgrade.api.v1alpha1.data_plane import Restart
from meshupgrade.api.v1alpha1.findings import FindingName
from meshupgrade.api.v1alpha1.status import Phase
from meshupgrade.phases.data_plane.in_use import InUse, find_in_use
from meshupgrade.phases.data_plane.live import LiveWorkloads, mesh_namespaces
from meshupgrade.phases.data_plane.outcome import counted, outcome_of
from meshupgrade.phases.data_plane.planned import plan_restart, target_of
from meshupgrade.phases.data_plane.restart import Restarts
from meshupgrade.phases.data_plane.selection import Selection, is_settled, select
from meshupgrade.phases.data_plane.waves import Waves
from meshupgrade.phases.shape import Outcome, PhaseFailed, PhasePlan, Work

__all__ = ["DataPlane"]


class DataPlane:
    """Restarts the workloads of the mesh in waves, or only counts them."""

    name = Phase.DATA_PLANE
    condition = ConditionType.DATA_PLANE_RESTARTED

    async def plan(self, work: Work) -> PhasePlan:
        """Say which workloads will be restarted once all else is done."""
        return await plan_restart(work)

    async def apply(self, work: Work) -> Outcome:
        """Restart what spec.dataPlane.restart says, and count."""
        if work.spec.data_plane.restart is Restart.NEVER:
            return await self.count(work)
        live = LiveWorkloads(work, await mesh_namespaces(work))
        async with live.watched():
            return await self._restart(work, live)

    async def count(self, work: Work) -> Outcome:
        """Count, restart nothing, and say what is due."""
        in_use, selection = await self._look(work)
        work.data_plane = counted(work, in_use, selection)
        return outcome_of(work, in_use, selection)

    async def due(self, work: Work) -> bool:
        """Tell whether a mesh at rest has workloads to be restarted. Raises the errors of kube.

        What was counted just before is believed when it says that all is well.
        """
        spec = work.spec.data_plane
        if spec.restart is Restart.NEVER:
            return False
        counts = work.data_plane.workloads if work.data_plane is not None else None
        if spec.restart is Restart.WHEN_OUTDATED and counts is not None and counts.total == counts.current:
            return False
        in_use, selection = await self._look(work)
        if selection is None or in_use.images.sidecar is None:
            return False
        always = spec.restart is Restart.ALWAYS and not is_settled(work.restart, selection.target)
        return always or bool(selection.all)

    async def _look(self, work: Work) -> tuple[InUse, Selection | None]:
        """Look at all Pods and, unless nothing is ever restarted, at their workloads."""
        if work.spec.data_plane.restart is Restart.NEVER:
            return await find_in_use(work), None
        live = LiveWorkloads(work, await mesh_namespaces(work))
        await live.read()
        in_use = await find_in_use(work)
        return in_use, select(work, in_use, live.get, target_of(work, in_use.images))

    async def _restart(self, work: Work, live: LiveWorkloads) -> Outcome:
        # The workloads are known before their Pods: one whose rollout ends in between is looked at again.
        seen = live.seen()
        in_use = await find_in_use(work)
        _check(work, in_use)
        target = target_of(work, in_use.images)
        selection = select(work, in_use, live.get, target)
        if selection.all or _is_open(work, target):
            restarts = Restarts(work, live, target, in_use.images, seen)
            waves = Waves(restarts, selection)
            while waves.has_more(selection):
                await waves.run(selection)
                restarts.seen = live.seen()
                in_use = await find_in_use(work, in_use.images)
                selection = select(work, in_use, live.get, target)
            await waves.finish()
            selection = select(work, in_use, live.get, target)
        work.data_plane = counted(work, in_use, selection)
        return outcome_of(work, in_use, selection)


def _is_open(work: Work, target: str) -> bool:
    """Tell whether it has yet to be recorded that all is done for the target."""
    if is_settled(work.restart, target):
        return False
    begun = work.restart is not None and work.restart.target == target
    return begun or work.spec.data_plane.restart is Restart.ALWAYS


def _check(work: Work, in_use: InUse) -> None:
    """Refuse to begin where it is not known what would be injected, or where the canary is not. Raises PhaseFailed."""
    canary = work.spec.data_plane.canary
    if in_use.workloads and in_use.images.sidecar is None:
        raise PhaseFailed(
            Reason.INJECTION_BROKEN,
            "nothing is restarted, since it cannot be told which sidecar is injected: neither the MeshConfig nor "
            f"Deployment {work.namespace}/{work.distribution.injector.deployment} names one",
        )
    if in_use.workloads and canary is not None and canary.namespace not in in_use.namespaces:
        raise PhaseFailed(
            FindingName.CANARY_NOT_IN_MESH,
            f"nothing is restarted, since namespace {canary.namespace} of spec.dataPlane.canary is not in the mesh",
        )
