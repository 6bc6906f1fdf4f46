"""Phase 4, ControlPlane: the Helm upgrade, and the watch over its workloads until they are ready."""

import dataclasses

from meshupgrade.api.v1alpha1.conditions import ConditionType, Reason
from meshupgrade.api.v1alpha1.findings import FindingName
from meshupgrade.api.v1alpha1.status import Phase
from meshupgrade.helm.errors import HelmError
from meshupgrade.helm.process import Child
from meshupgrade.kube.client import ObjectRef
from meshupgrade.kube.readiness import workload_refs
from meshupgrade.phases.addon_images import addon_refs
from meshupgrade.phases.adoption import adopt
from meshupgrade.phases.crds import lift_bootstrap
from meshupgrade.phases.fit import release_fits
from meshupgrade.phases.healthy import helm_failure, wait_healthy
from meshupgrade.phases.immutable import delete_for_replacement, remove_orphans
from meshupgrade.phases.preflight.objects import immutable_objects
from meshupgrade.phases.replicas import put_back, remember
from meshupgrade.phases.shape import Outcome, PhasePlan, Work
from meshupgrade.phases.storage import free_dropped_versions

__all__ = ["ControlPlane"]


class ControlPlane:
    """Drives Helm. A revision is good only when its workloads were seen ready."""

    name = Phase.CONTROL_PLANE
    condition = ConditionType.CONTROL_PLANE_UPGRADED

    async def plan(self, work: Work) -> PhasePlan:
        """Say whether Helm has anything to do; what speaks against it, Preflight has found."""
        if release_fits(work):
            return PhasePlan()
        rendered = work.need_target().rendered
        return PhasePlan(changes=[f"helm upgrade of {work.release} to {rendered.chart_name} {rendered.chart_version}"])

    async def apply(self, work: Work) -> Outcome:
        """Upgrade the release unless it already is what the spec asks for, then wait for its workloads."""
        # A new bootstrap that replaces CRDs would be refused while objects may be stored in what it drops.
        await free_dropped_versions(work)
        upgraded = not release_fits(work)
        replaced = await self._upgrade(work) if upgraded else []
        await lift_bootstrap(work)
        assert work.live is not None
        # A failing addon is no reason to go back, and its own phase may be what brings it up again.
        addons = addon_refs(work, work.live)
        refs = [ref for ref in workload_refs(work.live.objects(), work.namespace) if ref not in addons]
        readiness = await wait_healthy(work, refs, what="the control plane")
        if work.accepts(FindingName.IMMUTABLE_FIELD_CHANGED):
            await remove_orphans(work)
        work.revision = work.live.revision
        again = f"; deleted and created again: {', '.join(map(str, replaced))}" if replaced else ""
        return Outcome(
            Reason.DONE if upgraded else Reason.NOTHING_TO_DO,
            f"release {work.release} is at revision {work.live.revision}, chart {work.live.chart_version}; "
            f"{readiness.summary()}{again}",
        )

    async def _upgrade(self, work: Work) -> list[ObjectRef]:
        """Run Helm, and give the objects that were deleted for it since they cannot be changed in place."""
        target = work.need_target()
        replaced: list[ObjectRef] = []
        if work.accepts(FindingName.IMMUTABLE_FIELD_CHANGED):
            replaced = await immutable_objects(work, target.rendered)
            await delete_for_replacement(work, target.rendered, replaced)
        request = dataclasses.replace(
            target.request, wait=target.rendered.has_post_upgrade_hook(), history_max=work.history_max()
        )

        async def started(child: Child, seconds: float) -> None:
            await work.helm_started(work.next_revision(), child, seconds)

        await adopt(work)
        scaled = await remember(work, target.rendered)
        try:
            work.live = await work.tools.helm.upgrade(request, started)
        except HelmError as error:
            refs = workload_refs(target.rendered.objects(), work.namespace)
            raise await helm_failure(work, "helm upgrade", error, refs) from error
        finally:
            await put_back(work, scaled)
        work.revisions = await work.storage.revisions()
        return replaced
