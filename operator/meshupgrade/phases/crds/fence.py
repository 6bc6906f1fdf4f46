"""The fence: whoever would write the CRDs back is held off while they change, until the control plane is up.

Two kinds of writers, held off in two ways, both with a record of what to restore (see record, lift):

- The bootstrap of our own mesh, whose next start would replace the CRDs, is scaled to 0. Helm starts the new one.
- Reconcilers, of any mesh, know a CRD by a label. With another value of it they leave the CRD in peace, and take what
  it then is for good when the label comes back.

Bootstraps of other meshes are never scaled down: that they start again would do the very damage it is to prevent.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from meshupgrade.api.v1alpha1.names import FENCE_MANAGER
from meshupgrade.domain.managed_fields import owners, without_manager
from meshupgrade.kube.client import Kube, ObjectRef, crd_ref
from meshupgrade.kube.errors import Conflict
from meshupgrade.phases.crds.bootstraps import Bootstrap, reconcile_labels
from meshupgrade.phases.crds.lift import REPLICAS, lift
from meshupgrade.phases.crds.record import HELD_VALUE, Record, held_metadata, is_orphan, read_record
from meshupgrade.phases.shape import Busy, Work

__all__ = ["hold_off", "hold_reconciler", "is_gone", "scale_down"]

GONE_WITHIN = 30.0
"""Seconds that a bootstrap which may be writing has to end; one on a lost node never does."""


async def hold_off(work: Work, bootstraps: Sequence[Bootstrap], groups: Collection[str]) -> bool:
    """Hold off the bootstrap of our own mesh, and tell whether it is certain that no bootstrap is writing now.

    Raises Busy while another MeshUpgrade holds it off.
    """
    work.fenced = True
    quiet = True
    for bootstrap in bootstraps:
        if not (bootstrap.replaces or bootstrap.reconciles) or not bootstrap.brings(groups):
            continue
        resumed = read_record(bootstrap.deployment) is not None
        own = bootstrap.namespace == work.namespace
        if own and (bootstrap.replicas or resumed):
            await scale_down(work, bootstrap)
        if resumed or not bootstrap.settled:
            # It may be in the middle of writing its CRDs.
            quiet = own and await is_gone(work, bootstrap) and quiet
    return quiet


async def hold_reconciler(work: Work, live: Mapping[str, Any]) -> Mapping[str, Any]:
    """Take a live CRD out of the sight of reconcilers, and give what it then is. Raises Conflict when it changed."""
    labels = live["metadata"].get("labels") or {}
    unwatched = ("false", HELD_VALUE)
    watched = [key for key in sorted(reconcile_labels()) if labels.get(key, "false") not in unwatched]
    if not watched:
        return live
    held = held_metadata(Record.of(work, labels={key: labels[key] for key in watched}))
    held["labels"] |= dict.fromkeys(watched, HELD_VALUE)
    held["resourceVersion"] = live["metadata"]["resourceVersion"]
    ref = crd_ref(live["metadata"]["name"])
    return await work.tools.kube.merge_patch(ref, {"metadata": held}, manager=FENCE_MANAGER)


async def scale_down(work: Work, bootstrap: Bootstrap) -> None:
    """Scale it to 0, unless it is, and own nothing of it: Helm is about to apply the replicas of its chart."""
    kube, live = work.tools.kube, bootstrap.deployment
    while True:
        record = read_record(live)
        if record is not None and record.uid != work.uid:
            if not await is_orphan(kube, record):
                raise Busy(f"{bootstrap.ref} is held off by another MeshUpgrade, which works on the same mesh")
            await lift(kube, record.uid)
            live, record = await kube.get(bootstrap.ref), None
        replicas = int(live["spec"].get("replicas", 1))
        if record is None:
            owned = owners(live["metadata"].get("managedFields") or [], REPLICAS)
            record = Record.of(work, replicas=replicas, owners=tuple(owned))
        try:
            if replicas:
                live = await kube.apply(_scaled_down(live, record), manager=FENCE_MANAGER)
            await _give_up_ownership(kube, live)
            return
        except Conflict:
            live = await kube.get(bootstrap.ref)


async def _give_up_ownership(kube: Kube, live: Mapping[str, Any]) -> None:
    managed = live["metadata"]["managedFields"]
    kept = without_manager(managed, FENCE_MANAGER)
    if kept and kept != managed:
        metadata = {"resourceVersion": live["metadata"]["resourceVersion"], "managedFields": kept}
        await kube.merge_patch(ObjectRef.of(live), {"metadata": metadata}, manager=FENCE_MANAGER)


async def is_gone(work: Work, bootstrap: Bootstrap) -> bool:
    """Wait until no Pod of it is left; tell whether that came in time."""
    kube = work.tools.kube
    labels = ",".join(
        f"{key}={value}" for key, value in bootstrap.deployment["spec"]["selector"]["matchLabels"].items()
    )
    left: dict[str, Mapping[str, Any]] = {}
    async for pod in kube.list_objects("v1", "Pod", bootstrap.namespace, labels=labels):
        left[pod["metadata"]["uid"]] = pod
    if not left:
        return True
    await work.report(f"waiting for the end of {len(left)} Pods of {bootstrap.ref}, which may be writing CRDs")
    since = max((pod["metadata"]["resourceVersion"] for pod in left.values()), key=int)
    async for kind, pod in kube.watch(
        "v1", "Pod", bootstrap.namespace, since=since, seconds=GONE_WITHIN, labels=labels
    ):  # fmt: skip
        if kind == "DELETED":
            left.pop(pod["metadata"]["uid"], None)
        if not left:
            return True
    return False


def _scaled_down(live: Mapping[str, Any], record: Record) -> dict[str, Any]:
    metadata = {key: live["metadata"][key] for key in ("name", "namespace", "resourceVersion")}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {**metadata, **held_metadata(record)},
        "spec": {"replicas": 0},
    }
