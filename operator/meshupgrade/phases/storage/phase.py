"""Phase 5, Storage: after the control plane is verified, old objects are stored in the release's own version.

What stays in status.storedVersions keeps a later release from dropping that version (cert-manager #4900, cluster-api
#6674). Nothing is lost by waiting: all versions stay served, so this comes when there is nothing to go back from.
"""

import asyncio
import contextlib
from collections.abc import Sequence

from meshupgrade.api.v1alpha1.conditions import ConditionType, Reason
from meshupgrade.api.v1alpha1.findings import Finding, FindingName, Severity
from meshupgrade.api.v1alpha1.spec import CRDPolicy
from meshupgrade.api.v1alpha1.status import Phase
from meshupgrade.domain.storage import Due
from meshupgrade.domain.words import amount
from meshupgrade.kube.client import crd_ref
from meshupgrade.kube.errors import Unreachable
from meshupgrade.phases.live_crds import known_crd
from meshupgrade.phases.shape import Outcome, PhasePlan, Work
from meshupgrade.phases.storage.look import due_crds, forced, replaces_crds
from meshupgrade.phases.storage.migrate import Migrated, migrate
from meshupgrade.phases.storage.rewrite import rewrite_object

__all__ = ["Storage"]


class Storage:
    """Rewrites what is stored in an old version, and prunes status.storedVersions."""

    name = Phase.STORAGE
    condition = ConditionType.STORAGE_MIGRATED

    async def plan(self, work: Work) -> PhasePlan:
        """Say whose objects will be rewritten, after trying it on one of each. Raises Forbidden."""
        dues = work.planned_dues = await due_crds(work, known_crd)
        if not _migrates(work):
            kept = [due for due in dues if forced(work, due)] if replaces_crds(work) else []
            return PhasePlan([_must_be_migrated(kept)] if kept else [])
        await asyncio.gather(*(_try_one(work, due) for due in dues))
        return PhasePlan(changes=[f"store the objects of CRD {due.name} in {due.wanted}" for due in dues])

    async def apply(self, work: Work) -> Outcome:
        """Migrate what is due. Raises PhaseFailed, and the errors of kube."""
        if work.spec.crds.policy is CRDPolicy.SKIP:
            return Outcome(Reason.NOTHING_TO_DO, "spec.crds.policy is Skip: no CRD was looked at")
        dues = await due_crds(work, known_crd)
        if not dues:
            return Outcome(Reason.NOTHING_TO_DO, "every CRD stores its objects in the version of this release")
        if not _migrates(work):
            return Outcome(
                Reason.REPORTED_ONLY,
                f"not migrated, as spec.crds says; objects may be stored in an old version, which stays served: "
                f"{_some(dues)}",
                status="False",
            )
        return _outcome(await migrate(work, dues))


async def _try_one(work: Work, due: Due) -> None:
    """Try on one object, and on the CRD, what will be done to all. Raises Forbidden."""
    kube = work.tools.kube
    crd = await kube.find(crd_ref(due.name))
    if crd is None:
        return
    status = {"status": {"storedVersions": crd["status"]["storedVersions"]}}
    await kube.merge_patch(crd_ref(due.name), status, dry_run=True, subresource="status")
    served = next((version["name"] for version in crd["spec"]["versions"] if version.get("served")), None)
    if served is None:
        return
    api_version = f"{due.group}/{served}"
    # A conversion webhook that nobody serves any more keeps objects from being read, until this upgrade repairs that.
    with contextlib.suppress(Unreachable):
        async for page in kube.pages(api_version, due.kind, limit=1, metadata_only=True):
            for item in page.items:
                await rewrite_object(kube, item, [api_version], dry_run=True)
            break


def _migrates(work: Work) -> bool:
    return work.spec.crds.migrate_storage and work.spec.crds.policy is not CRDPolicy.SKIP


def _outcome(done: Migrated) -> Outcome:
    told = "there were no objects to rewrite"
    if done.objects:
        told = (
            f"{amount(done.objects, 'object')} {'is' if done.objects == 1 else 'are'} stored in the version of this "
            f"release, {done.rewritten} {'was' if done.rewritten == 1 else 'were'} rewritten for it"
        )
    crds = f"{amount(len(done.crds), 'CRD')}: {', '.join(done.crds[:10])}" if done.crds else "no CRD"
    if not done.left:
        return Outcome(Reason.DONE, f"{told}; of {crds}")
    left = "; ".join(f"{name}: {', '.join(objects)}" for name, objects in sorted(done.left.items()))
    return Outcome(
        Reason.API_REJECTED,
        f"some objects were refused when they were written as they are, so their CRDs keep the old version in "
        f"status.storedVersions: {left[:2000]}. Migrated: {crds}; {told}. Correct these objects, then annotate the "
        "MeshUpgrade with a new value of meshupgrade.io/reconcile-requested-at",
        status="False",
    )


def _must_be_migrated(kept: Sequence[Due]) -> Finding:
    return Finding(
        name=FindingName.STORED_VERSION_DROPPED,
        severity=Severity.ERROR,
        phase=Phase.STORAGE,
        message=f"this release drops versions in which objects may be stored, its bootstrap replaces the CRDs by its "
        f"own and would not start, and spec.crds keeps the objects from being rewritten before: {_some(kept)}",
        remedy="Set spec.crds.migrateStorage to true, or rewrite the objects and prune status.storedVersions yourself.",
    )


def _some(dues: Sequence[Due]) -> str:
    more = f" and {len(dues) - 10} more" if len(dues) > 10 else ""
    return ", ".join(map(str, dues[:10])) + more
