"""The rollback: the release brought back to its last verified revision, once, after the attempts are used up.

Of the shape of a phase, and run by the engine alone. What the attempts that are rolled back changed in the MeshConfig
is put back once the old control plane is up. CRDs are not rolled back: they only roll forward, but for a bootstrap that
replaces them by its own.
"""

from dataclasses import replace

from meshupgrade.api.v1alpha1.conditions import ConditionType, Reason
from meshupgrade.api.v1alpha1.findings import FindingName
from meshupgrade.api.v1alpha1.names import OWNER_LABEL, owner_value
from meshupgrade.api.v1alpha1.status import Phase
from meshupgrade.helm.driver import RollbackRequest
from meshupgrade.helm.errors import HelmError
from meshupgrade.helm.process import Child
from meshupgrade.helm.release import Release, ReleaseStatus
from meshupgrade.kube.readiness import observe_readiness, workload_refs
from meshupgrade.phases.healthy import helm_failure, wait_healthy
from meshupgrade.phases.immutable import delete_for_replacement, remove_orphans
from meshupgrade.phases.mesh_config import restore_mesh_config
from meshupgrade.phases.preflight.objects import what_is_refused
from meshupgrade.phases.shape import Outcome, PhaseFailed, PhasePlan, Work

__all__ = ["GoingBack", "Rollback"]


class Rollback:
    """Goes back to the revision that the Work names."""

    name = Phase.ROLLING_BACK
    condition = ConditionType.ROLLED_BACK

    async def plan(self, work: Work) -> PhasePlan:
        """Say what would be done."""
        return PhasePlan(changes=[f"helm rollback of {work.release} to revision {work.need_verified()}"])

    async def apply(self, work: Work) -> Outcome:
        """Roll back unless that is done, or was never needed, wait for the old workloads, and restore the MeshConfig.

        Raises PhaseFailed when the API server would refuse what was there before, or the workloads do not become ready.
        """
        outcome = await self._bring_back(work)
        return replace(outcome, message=outcome.message + await restore_mesh_config(work))

    async def _bring_back(self, work: Work) -> Outcome:
        verified = work.need_verified()
        release = await work.storage.read(verified)
        refs = workload_refs(release.objects(), work.namespace)
        newest = work.revisions[0]
        untouched = newest.revision == verified and newest.status is ReleaseStatus.DEPLOYED
        if untouched and (await observe_readiness(work.tools.kube, refs)).ready:
            work.live, work.revision = release, verified
            return Outcome(Reason.NOTHING_TO_DO, f"the release still is at its verified revision {verified}")
        if not await self._is_done(work, release):
            await self._roll_back(work, release)
        readiness = await wait_healthy(work, refs, what=f"the release, rolled back to revision {verified},")
        await remove_orphans(work)
        assert work.live is not None
        work.revision = work.live.revision
        return Outcome(
            Reason.DONE,
            f"release {work.release} is back at chart {release.chart_version}, as revision {work.revision}, made from "
            f"the verified revision {verified}; {readiness.summary()}",
        )

    async def _is_done(self, work: Work, release: Release) -> bool:
        """Tell whether the newest revision is this rollback, made by a run that died after it."""
        newest = work.revisions[0]
        ours = newest.labels.get(OWNER_LABEL) == owner_value(work.uid, newest.revision)
        if not ours or newest.status is not ReleaseStatus.DEPLOYED:
            return False
        work.live = await work.storage.read(newest.revision)
        return work.live.manifest == release.manifest

    async def _roll_back(self, work: Work, release: Release) -> None:
        refused = await what_is_refused(work, release)
        if refused.told:
            raise PhaseFailed(
                Reason.API_REJECTED,
                f"the API server would not take what revision {release.revision} had: {'; '.join(refused.told[:5])}",
            )
        if refused.immutable and not work.accepts(FindingName.IMMUTABLE_FIELD_CHANGED):
            raise PhaseFailed(
                Reason.API_REJECTED,
                f"{', '.join(map(str, refused.immutable[:5]))} cannot be changed back in place, and "
                "spec.upgrade.acceptRisks does not name ImmutableFieldChanged",
            )
        await delete_for_replacement(work, release, refused.immutable)
        revision = work.revisions[0].revision + 1
        # Helm hands the labels of the old revision on to the one that it makes: so that one is provably ours.
        await work.storage.label(release.revision, OWNER_LABEL, owner_value(work.uid, revision))
        request = RollbackRequest(
            release=work.release,
            namespace=work.namespace,
            revision=release.revision,
            timeout=work.timeout,
            description=f"meshupgrade {work.uid}/{work.generation} back to {release.revision}",
            history_max=work.history_max(),
        )

        async def started(child: Child, seconds: float) -> None:
            await work.helm_started(revision, child, seconds)

        try:
            await work.tools.helm.rollback(request, started)
        except HelmError as error:
            refs = workload_refs(release.objects(), work.namespace)
            raise await helm_failure(work, "helm rollback", error, refs) from error
        work.revisions = await work.storage.revisions()
        work.live = await work.storage.read(work.revisions[0].revision)


class GoingBack(Rollback):
    """The same at the wish of a person whose spec names the version before: told as what the control plane does."""

    name = Phase.CONTROL_PLANE
    condition = ConditionType.CONTROL_PLANE_UPGRADED

    async def apply(self, work: Work) -> Outcome:
        """Roll back as above; the MeshConfig has a phase of its own afterwards. Raises PhaseFailed."""
        return await self._bring_back(work)
