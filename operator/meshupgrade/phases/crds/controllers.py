"""The control planes that use a CRD: stopped while it changes its scope, with the record and the undo of the fence.

Bootstraps of other meshes run on, as the fence has it: a start of theirs would write their own CRDs.
"""

import asyncio
from collections.abc import Collection

from meshupgrade.api.v1alpha1.spec import DistributionName
from meshupgrade.distributions import load_distribution
from meshupgrade.kube.client import ObjectRef
from meshupgrade.phases.crds.bootstraps import Bootstrap
from meshupgrade.phases.crds.fence import is_gone, scale_down
from meshupgrade.phases.crds.lift import restore
from meshupgrade.phases.crds.record import read_record
from meshupgrade.phases.shape import Work

__all__ = ["start_controllers", "stop_controllers"]


async def stop_controllers(work: Work, groups: Collection[str]) -> None:
    """Scale the control planes of all meshes that use CRDs of these groups to 0, and wait for the end of their Pods.

    A Pod that does not end in time, as on a lost node, is waited for no longer: what it might write is noticed. Raises
    Busy while another MeshUpgrade holds one, and the errors of kube.
    """
    work.fenced = True
    found = [one for one in await _control_planes(work, groups) if one.replicas or read_record(one.deployment)]
    for controller in found:
        await scale_down(work, controller)
    await asyncio.gather(*(is_gone(work, controller) for controller in found))


async def start_controllers(work: Work, groups: Collection[str]) -> None:
    """Restore what was stopped, except our own bootstrap, which the fence holds until Helm has started the new one."""
    own = ObjectRef("apps/v1", "Deployment", work.distribution.bootstrap.deployment, work.namespace)
    for controller in await _control_planes(work, groups):
        if controller.ref != own:
            await restore(work.tools.kube, controller.ref, work.uid)


async def _control_planes(work: Work, groups: Collection[str]) -> list[Bootstrap]:
    """Give the Deployments that may work with objects of these groups, in all namespaces."""
    names: set[str] = set()
    bootstraps: set[str] = set()
    for distribution in map(load_distribution, DistributionName):
        facts = distribution.bootstrap
        if Bootstrap({}, (facts,)).brings(groups):
            names |= set(distribution.control_plane)
            bootstraps.add(facts.deployment)
    found: list[Bootstrap] = []
    for name in sorted(names):
        listed = work.tools.kube.list_objects("apps/v1", "Deployment", fields=f"metadata.name={name}")
        found += [Bootstrap(deployment, ()) async for deployment in listed]
    return [one for one in found if one.ref.name not in bootstraps or one.namespace == work.namespace]
