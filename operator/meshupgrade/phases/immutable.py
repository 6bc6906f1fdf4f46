"""Objects that can only be changed by deleting and creating them: taken away so that their Pods go on serving.

A Deployment is deleted alone: its ReplicaSets, marked before, keep their Pods while Helm brings the new one up. After
that the ones that it did not take over are removed. Source of the propagation policies:
https://kubernetes.io/docs/concepts/architecture/garbage-collection (orphaned dependents).
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from meshupgrade.api.v1alpha1.conditions import Reason
from meshupgrade.api.v1alpha1.names import ORPHANED_BY
from meshupgrade.helm.release import Release
from meshupgrade.kube.client import ObjectRef
from meshupgrade.phases.shape import PhaseFailed, Work

__all__ = ["delete_for_replacement", "remove_orphans"]

GONE_TIMEOUT = 60.0
"""Seconds that the garbage collector may take to let an object go."""

APPS = "apps/v1"


async def delete_for_replacement(work: Work, release: Release, refs: Sequence[ObjectRef]) -> None:
    """Delete what Helm is to create again, with its Pods kept where the kind allows it, and wait until it is gone.

    A process that dies in between leaves Pods that serve; the next run goes on with what is still there.
    """
    wanted = {ObjectRef.of(obj, work.namespace): obj for obj in release.objects()}
    for ref in refs:
        live = await work.tools.kube.find(ref)
        if live is None:
            continue
        keep = _keeps_pods(live, wanted.get(ref))
        await work.report(f"deleting {ref}, which cannot be changed in place{'; its Pods go on serving' * keep}")
        if ref.kind == "Deployment":
            await _mark_replica_sets(work, live)
        uid = live["metadata"]["uid"]
        await work.tools.kube.delete(ref, uid=uid, propagation="Orphan" if keep else "Background")
        await _gone(work, ref, uid)


async def remove_orphans(work: Work) -> list[str]:
    """Remove the ReplicaSets that were left to serve and that no Deployment took over; give their names.

    For after the new workloads are ready.
    """
    kube, removed = work.tools.kube, []
    marked = kube.list_objects(APPS, "ReplicaSet", work.namespace, labels=f"{ORPHANED_BY}={work.uid}")
    for replica_set in [item async for item in marked]:
        ref = ObjectRef.of(replica_set)
        if _controller(replica_set) is None:
            await kube.delete(ref, uid=replica_set["metadata"]["uid"])
            removed.append(ref.name)
        else:
            await kube.merge_patch(ref, {"metadata": {"labels": {ORPHANED_BY: None}}})
    return removed


async def _mark_replica_sets(work: Work, deployment: Mapping[str, Any]) -> None:
    uid = deployment["metadata"]["uid"]
    listed = work.tools.kube.list_objects(APPS, "ReplicaSet", deployment["metadata"]["namespace"])
    for replica_set in [item async for item in listed]:
        if _controller(replica_set) == uid:
            await work.tools.kube.merge_patch(
                ObjectRef.of(replica_set), {"metadata": {"labels": {ORPHANED_BY: work.uid}}}
            )


def _keeps_pods(live: Mapping[str, Any], wanted: Mapping[str, Any] | None) -> bool:
    """Tell whether the Pods can outlive the object.

    A Deployment's new Pods have names of their own. A StatefulSet or DaemonSet must take its old Pods over, since new
    ones would need the same names, or ports of the node.
    """
    if live["kind"] == "Deployment":
        return True
    if live["kind"] not in ("StatefulSet", "DaemonSet") or wanted is None:
        return False
    selector = wanted["spec"].get("selector") or {}
    labels = live["spec"]["template"]["metadata"].get("labels") or {}
    return not selector.get("matchExpressions") and (selector.get("matchLabels") or {}).items() <= labels.items()


def _controller(obj: Mapping[str, Any]) -> str | None:
    owners = obj["metadata"].get("ownerReferences") or []
    return next((owner["uid"] for owner in owners if owner.get("controller")), None)


async def _gone(work: Work, ref: ObjectRef, uid: str) -> None:
    live: Mapping[str, Any] | None = None
    try:
        async with asyncio.timeout(GONE_TIMEOUT):
            while True:
                live = await work.tools.kube.find(ref)
                if live is None or live["metadata"]["uid"] != uid:
                    return
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise PhaseFailed(
            Reason.TIMED_OUT,
            f"{ref} was deleted and is not gone after {GONE_TIMEOUT:.0f} s; a finalizer holds it: "
            f"{', '.join((live or {}).get('metadata', {}).get('finalizers') or ['none that shows'])}",
        ) from None
