"""To which workload a Pod belongs."""

from collections.abc import Collection, Mapping, Sequence, Set
from typing import Any

from meshupgrade.kube.client import Kube, ObjectRef
from meshupgrade.phases.data_plane.pods import TEMPLATE_HASH, Owner, PodRecord, controller_of

__all__ = ["of_workload", "resolve"]

PAGE = 500
"""ReplicaSets without spec and status are small."""

HASHES = 250
"""How many fit into one request, whose line some proxies bound to 4 KiB."""


async def resolve(kube: Kube, namespace: str, records: Collection[PodRecord]) -> dict[str, ObjectRef | str]:
    """Give to what each Pod belongs, by the uid of the Pod: a workload, or in words what else has it.

    A ReplicaSet's Deployment is read in its own owner. A Deployment keeps ten old ReplicaSets by default, so only those
    with the hashes of these Pods are listed; all of them only when that does not give them. Raises the errors of kube.
    """
    wanted = {one.owner.uid: one.template_hash for one in records if one.owner is not None and one.owner.is_replica_set}
    known: dict[str, Owner | None] = {}
    for query in _queries(set(wanted.values())):
        known |= await _owners_of_replica_sets(kube, namespace, query)
    if wanted.keys() - known.keys():
        known = await _owners_of_replica_sets(kube, namespace, None)
    return {record.uid: _named(record, known) for record in records}


def _queries(hashes: Set[str]) -> list[str]:
    """Give the labels of ReplicaSets whose Pods have these hashes, or none."""
    some = sorted(hashes - {""})
    queries = [f"{TEMPLATE_HASH} in ({','.join(some[at : at + HASHES])})" for at in range(0, len(some), HASHES)]
    return [*queries, f"!{TEMPLATE_HASH}"] if "" in hashes else queries


async def of_workload(kube: Kube, workload: Mapping[str, Any], records: Sequence[PodRecord]) -> list[PodRecord]:
    """Give those of the Pods in the namespace of a live workload that belong to it. Raises the errors of kube.

    A Deployment makes its ReplicaSets with its own name and the hash of their template, which their Pods have as a
    label: so the Pods tell, and no request is needed. Only where a name is another one, as that of a ReplicaSet that
    was taken over, are the ReplicaSets listed.
    """
    metadata = workload["metadata"]
    if workload["kind"] != "Deployment":
        return [record for record in records if record.owner is not None and record.owner.uid == metadata["uid"]]
    owned = [record for record in records if record.owner is not None and record.owner.is_replica_set]
    if all(record.owner.name == f"{metadata['name']}-{record.template_hash}" for record in owned if record.owner):
        return owned
    known = await _owners_of_replica_sets(kube, metadata["namespace"], None)
    owners = {uid for uid, owner in known.items() if owner is not None and owner.uid == metadata["uid"]}
    return [record for record in owned if record.owner is not None and record.owner.uid in owners]


async def _owners_of_replica_sets(kube: Kube, namespace: str, labels: str | None) -> dict[str, Owner | None]:
    pages = kube.pages("apps/v1", "ReplicaSet", namespace, limit=PAGE, labels=labels, metadata_only=True)
    return {item["metadata"]["uid"]: controller_of(item["metadata"]) async for page in pages for item in page.items}


def _named(record: PodRecord, replica_sets: Mapping[str, Owner | None]) -> ObjectRef | str:
    owner = record.owner
    if owner is not None and owner.is_replica_set:
        owner = replica_sets.get(owner.uid) or owner
    if owner is None or owner.kind == "Node":
        # The Pods in the files of a kubelet have their node for an owner.
        return f"Pod {record.namespace}/{record.name}"
    # The kind is what somebody wrote; that of a CRD is no longer than this.
    return owner.workload(record.namespace) or f"{owner.kind[:63]} {record.namespace}/{owner.name}"
