"""Phase 3, CRDs: what the release ships, merged into what lives, server-side applied.

Helm upgrades no CRDs; the mesh's own bootstrap replaces them. We merge (see meshupgrade.domain.crds), before the
control plane that needs them runs. CRDs only roll forward.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator

from meshupgrade.api.v1alpha1.conditions import ConditionType, Reason
from meshupgrade.api.v1alpha1.names import CRD_LEASE
from meshupgrade.api.v1alpha1.spec import CRDPolicy
from meshupgrade.api.v1alpha1.status import Phase
from meshupgrade.helm.process import boot_id, is_running, started_ticks
from meshupgrade.kube.lease import HeldLease, LeaseLost, hold_lease
from meshupgrade.phases.crds.bootstraps import find_bootstraps
from meshupgrade.phases.crds.fence import hold_off
from meshupgrade.phases.crds.look import Looker
from meshupgrade.phases.crds.plan import changes_of, expected_of, scope_changes_of
from meshupgrade.phases.crds.scope_change import change_scopes
from meshupgrade.phases.crds.write import put_right, write_all, written_back
from meshupgrade.phases.live_crds import crd_now, forget_crds
from meshupgrade.phases.shape import Busy, Outcome, PhasePlan, Work

__all__ = ["CRDs"]


class CRDs:
    """Applies the CRDs of the target."""

    name = Phase.CRDS
    condition = ConditionType.CRDS_APPLIED

    def __init__(self) -> None:
        # Within one operator the Lease has one holder; its own meshes take turns here.
        self._one_mesh_at_a_time = asyncio.Lock()

    async def plan(self, work: Work) -> PhasePlan:
        """Give what would change; what speaks against it, Preflight has found."""
        if work.spec.crds.policy is not CRDPolicy.APPLY:
            return PhasePlan()
        return PhasePlan(changes=[str(one) for one in (*scope_changes_of(work.crd_looks), *changes_of(work.crd_looks))])

    async def apply(self, work: Work) -> Outcome:
        """Apply what is due, wait until it is served, and read it back."""
        if work.spec.crds.policy is CRDPolicy.SKIP:
            return Outcome(Reason.NOTHING_TO_DO, "spec.crds.policy is Skip: the CRDs were not looked at")
        if work.spec.crds.policy is CRDPolicy.VERIFY:
            total = len(work.need_target().crds)
            return Outcome(Reason.NOTHING_TO_DO, f"all {total} CRDs are as this version needs them; none was written")
        looks = work.crd_looks
        work.expected_crds = expected_of(looks)
        changes, scopes = changes_of(looks), scope_changes_of(looks)
        if not changes and not scopes:
            return Outcome(Reason.NOTHING_TO_DO, f"all {len(looks)} CRDs are as this version needs them")
        resources = "no custom resource was touched"
        groups = {change.group for change in changes} | {change.group for change in scopes}
        async with self._alone(work) as lease:
            bootstraps = await find_bootstraps(work.tools.kube)
            looker = Looker(work, bootstraps, crd_now)
            quiet = await hold_off(work, bootstraps, groups)
            if scopes:
                resources = await change_scopes(work, scopes, lease.check)
                looks = await looker.look_at_all(work.need_target().crds)
                work.expected_crds, changes = expected_of(looks), changes_of(looks)
            changed = {change.name: work.expected_crds[change.name] for change in changes}
            as_expected = await write_all(work, looker, changes, changed, lease.check)
            if not (quiet and as_expected):
                await put_right(work, changed, lease.check, watch=not quiet)
        work.tools.kube.forget_discovery(groups)
        created = sum(change.live is None for change in changes)
        return Outcome(
            Reason.DONE,
            f"of {len(looks)} CRDs {created} created, {len(changes) - created} changed, {len(looks) - len(changes)} "
            f"left as they were; {resources}",
        )

    async def after_control_plane(self, work: Work) -> Outcome | None:
        """Look again once the new control plane is up, whose bootstrap has written its own CRDs.

        Gives an outcome in place of the phase's own when CRDs had to be put right. Raises as apply does.
        """
        forget_crds(work)
        if not await written_back(work, work.expected_crds):
            return None
        async with self._alone(work) as lease:
            again = await put_right(work, work.expected_crds, lease.check)
        forget_crds(work)
        work.tools.kube.forget_discovery({expected.spec["group"] for expected in work.expected_crds.values()})
        named = ", ".join(f"{name} (by {writer})" for name, writer in sorted(again.items()))
        return Outcome(Reason.DONE, f"somebody wrote CRDs back while the upgrade ran, and they were put right: {named}")

    @contextlib.asynccontextmanager
    async def _alone(self, work: Work) -> AsyncIterator[HeldLease]:
        """Be the only one in the cluster that writes CRDs while entered. Raises Busy when that is lost."""

        async def waiting(holder: str) -> None:
            await work.report(f"waiting for {_told(holder)}, which is writing CRDs")

        kube = work.tools.kube
        async with self._one_mesh_at_a_time:
            try:
                async with hold_lease(kube, CRD_LEASE, _identity(work), waiting=waiting, is_gone=_is_gone) as lease:
                    yield lease
            except LeaseLost as error:
                raise Busy("the Lease under which CRDs are written was lost; it is tried again") from error


def _identity(work: Work) -> str:
    """Give what names this process and the mesh: several meshes of one operator are several holders."""
    pid = os.getpid()
    return f"{boot_id()}/{pid}/{started_ticks(pid)} {work.namespace}/{work.release}"


def _told(holder: str) -> str:
    """Give a holder in words; what is no identity of ours stays as it is."""
    _, _, mesh = holder.partition(" ")
    return f"the upgrade of {mesh}" if "/" in mesh else holder


def _is_gone(holder: str) -> bool:
    """Tell whether a holder is a process of this very host that runs no more; of others nothing is known."""
    host, _, process = holder.partition(" ")[0].partition(f"{boot_id()}/")
    pid, _, ticks = process.partition("/")
    return not host and pid.isdigit() and ticks.isdigit() and not is_running(int(pid), int(ticks))
