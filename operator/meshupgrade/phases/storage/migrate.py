"""The storage of a CRD moved to another version: switch, settle, rewrite, prune. Each step can be done twice."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from meshupgrade.api.v1alpha1.conditions import Reason
from meshupgrade.api.v1alpha1.status import StorageMigration
from meshupgrade.domain.crds import stored_version
from meshupgrade.domain.storage import Due, unchanged, write_versions
from meshupgrade.kube.client import crd_ref
from meshupgrade.kube.errors import Conflict, NotFound
from meshupgrade.phases.shape import PhaseFailed, Work
from meshupgrade.phases.storage.rewrite import rewrite
from meshupgrade.phases.storage.switch import switch

__all__ = ["Migrated", "migrate"]

TRIES = 5
"""How often a CRD that others change meanwhile is begun anew."""

NO_CONVERSION = {"op": "replace", "path": "/spec/conversion", "value": {"strategy": "None"}}


@dataclass
class Migrated:
    """What a migration came to."""

    objects: int = 0
    rewritten: int = 0
    crds: list[str] = field(default_factory=list)
    """Those whose objects all are stored in the wanted version, with that version."""

    left: dict[str, Sequence[str]] = field(default_factory=dict)
    """By CRD some of the objects that were refused; such a CRD keeps its storedVersions."""


async def migrate(work: Work, dues: Sequence[Due]) -> Migrated:
    """Move the storage of the CRDs, and record how far it has come; a CRD that is gone meanwhile is left out.

    Raises PhaseFailed when somebody keeps changing a CRD, Forbidden, and Unreachable.
    """
    resumed = work.migration
    done = Migrated()
    if resumed is not None:
        gone_on_with = any(due.name == resumed.crd for due in dues)
        done = Migrated(resumed.finished + (0 if gone_on_with else resumed.objects), resumed.rewritten)
    done.rewritten += await switch(work, dues)
    for due in dues:
        await _move(work, due, done)
    work.migration = None
    await work.keep_migration(None)
    return done


async def _move(work: Work, due: Due, done: Migrated) -> None:
    for _ in range(TRIES):
        crd = await work.tools.kube.find(crd_ref(due.name))
        if crd is None:
            return
        if stored_version(crd) != due.wanted:
            done.rewritten += await switch(work, [due])
            continue
        versions, generation = write_versions(crd, due.wanted), crd["metadata"]["generation"]
        if not versions:
            done.left[due.name] = ["all: no version of it is served"]
            return
        progress, canary = await rewrite(work, due, versions, _progress(work, due, generation, done))
        done.rewritten = progress.rewritten
        if canary is not None and await canary.was_stored_anew(work.tools.kube):
            # The first object had been stored in another version: the API server had not heard of the switch by then.
            continue
        if not progress.refused and not await _prune(work, due, generation):
            continue
        done.objects += progress.objects
        if progress.refused:
            done.left[due.name] = progress.refused
        else:
            done.crds.append(f"{due.name} ({due.wanted})")
        return
    raise PhaseFailed(
        Reason.API_REJECTED,
        f"CRD {due.name} was changed by others each time its objects had been rewritten, so it cannot be told that all "
        f"are stored in {due.wanted}; see kubectl get crd {due.name} --show-managed-fields -o yaml for who",
    )


def _progress(work: Work, due: Due, generation: int, done: Migrated) -> StorageMigration:
    """Give the progress to begin with: that of a run that died on this CRD as it is now, else none."""
    resumed = work.migration
    if resumed is not None and resumed.crd == due.name:
        work.migration = None
        if resumed.generation == generation:
            return resumed.model_copy(update={"rewritten": done.rewritten})
    return StorageMigration(crd=due.name, generation=generation, finished=done.objects, rewritten=done.rewritten)


async def _prune(work: Work, due: Due, generation: int) -> bool:
    """Leave the wanted version alone in storedVersions; tell whether the CRD still was as the objects were written by.

    Then a conversion webhook goes that the release does not have: it was kept for the objects in old versions.
    """
    kube, ref = work.tools.kube, crd_ref(due.name)
    while True:
        crd = await kube.find(ref)
        if crd is None:
            return True
        if crd["metadata"]["generation"] != generation:
            return False
        try:
            guard = {"resourceVersion": crd["metadata"]["resourceVersion"]}
            pruned = {"metadata": guard, "status": {"storedVersions": [due.wanted]}}
            crd = await kube.merge_patch(ref, pruned, subresource="status")
            if due.drops_webhook and (crd["spec"].get("conversion") or {}).get("strategy") == "Webhook":
                await kube.json_patch(ref, [unchanged(crd), NO_CONVERSION])
            return True
        except Conflict:
            continue
        except NotFound:
            return True
