"""In-use accounting: which workloads of the mesh run which sidecar."""

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from meshupgrade.api.v1alpha1.status import DataPlaneStatus, WorkloadCounts
from meshupgrade.domain.label_selectors import label_query
from meshupgrade.domain.sidecars import Images, SidecarState, has_current_sidecar, judge, with_tags
from meshupgrade.kube.client import ObjectRef
from meshupgrade.phases.crds.parallel import for_each
from meshupgrade.phases.data_plane.injected import MeshAt, images_of
from meshupgrade.phases.data_plane.owners import of_workload, resolve
from meshupgrade.phases.data_plane.pods import PodRecord, asks_for_injection, record_of
from meshupgrade.phases.shape import Work

__all__ = ["InUse", "PodUse", "WorkloadUse", "find_in_use", "find_pods_of", "look"]

PAGE = 100
"""Pods at once. A Pod takes some 10 KB as text and several times that once read, and nothing of it is kept."""

PAGE_OF_ONE = 500
"""Pods of one workload at once: one request for nearly all workloads."""

NAMESPACES = 2
"""How many namespaces are looked at side by side, each with a page in memory."""

MAX_OWNERS = 20


@dataclass(frozen=True, slots=True)
class PodUse:
    """One Pod that is not finished."""

    namespace: str
    name: str
    uid: str
    state: SidecarState
    restarted_for: str
    """The annotation of that name that it got from its template, empty without one."""

    created: datetime
    ready: bool
    sidecar_is_current: bool = False
    """Whether its sidecar is what is injected now: when it is outdated all the same, its init container is another."""


@dataclass(frozen=True)
class WorkloadUse:
    """A Deployment, StatefulSet or DaemonSet and its Pods."""

    ref: ObjectRef
    pods: tuple[PodUse, ...]

    @property
    def state(self) -> SidecarState:
        """Give the worst state of its Pods: outdated before unknown before current."""
        states = {pod.state for pod in self.pods}
        return next(
            (state for state in (SidecarState.OUTDATED, SidecarState.UNKNOWN) if state in states), SidecarState.CURRENT
        )

    @property
    def outdated_by(self) -> str:
        """Give which container makes it outdated, "sidecar" or "init container"; empty when it is not outdated."""
        outdated = [pod for pod in self.pods if pod.state is SidecarState.OUTDATED]
        if not outdated:
            return ""
        return "init container" if all(pod.sidecar_is_current for pod in outdated) else "sidecar"


@dataclass(frozen=True)
class InUse:
    """The Pods of the mesh."""

    images: Images
    """What is injected now, with what the tags were last (see meshupgrade.domain.sidecars)."""

    workloads: Mapping[ObjectRef, WorkloadUse] = field(default_factory=dict)
    namespaces: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The metadata of the mesh's namespaces, by name."""

    unmanaged: Mapping[str, tuple[PodUse, ...]] = field(default_factory=dict)
    """The Pods that no workload would bring back, by what has them, such as Job shop/import."""

    uninjected: int = 0
    """How many Pods never got the sidecar that is asked for; they are in none of the others."""

    def status(self) -> DataPlaneStatus:
        """Give the counts for the status. Who is excluded, and how a restart goes on, is for the phase to add."""
        unmanaged = [pod for pods in self.unmanaged.values() for pod in pods]
        pods = Counter(pod.state for use in self.workloads.values() for pod in use.pods)
        pods.update(pod.state for pod in unmanaged)
        workloads = Counter(use.state for use in self.workloads.values())
        return DataPlaneStatus(
            total=pods.total(),
            current=pods[SidecarState.CURRENT],
            outdated=pods[SidecarState.OUTDATED],
            unknown=pods[SidecarState.UNKNOWN],
            unmanaged=len(unmanaged),
            uninjected=self.uninjected,
            workloads=WorkloadCounts(
                total=workloads.total(),
                current=workloads[SidecarState.CURRENT],
                outdated=workloads[SidecarState.OUTDATED],
                unknown=workloads[SidecarState.UNKNOWN],
            ),
            unmanaged_owners=sorted(self.unmanaged)[:MAX_OWNERS],
        )


async def find_in_use(work: Work, wanted: Images | None = None) -> InUse:
    """Look at all Pods of the mesh, in one paged pass. Raises the errors of kube.

    That is one request for the namespaces, and for each of them one for every hundred Pods and one for the ReplicaSets
    of every 250 Deployments. Pods that are finished or being deleted do not count. ``wanted`` are the images that they
    are compared with; those that are injected now when it is left out.
    """
    return await look(MeshAt.of(work), wanted)


async def look(mesh: MeshAt, wanted: Images | None = None) -> InUse:
    """Look at all Pods of a mesh, as find_in_use does."""
    images = wanted or await images_of(mesh)
    labels = f"{mesh.distribution.sidecar.namespace_label}={mesh.name}"
    listed = mesh.kube.list_objects("v1", "Namespace", labels=labels, metadata_only=True)
    namespaces = {namespace["metadata"]["name"]: namespace["metadata"] async for namespace in listed}
    records: list[PodRecord] = []
    owners: dict[str, ObjectRef | str] = {}
    uninjected = 0

    async def add(name: str) -> None:
        nonlocal uninjected
        asked = asks_for_injection(namespaces[name], mesh.distribution, mesh.namespace)
        found = [record async for record in _records(mesh, name, asked=asked)]
        counted = [record for record in found if not record.is_uninjected]
        uninjected += len(found) - len(counted)
        owners.update(await resolve(mesh.kube, name, counted))
        records.extend(counted)

    await for_each(sorted(namespaces), add, parallel=NAMESPACES)
    images = _with_tags(images, records)
    workloads: dict[ObjectRef, list[PodUse]] = {}
    unmanaged: dict[str, list[PodUse]] = {}
    for record in records:
        owner = owners[record.uid]
        if isinstance(owner, str):
            unmanaged.setdefault(owner, []).append(_judged(record, images))
        else:
            workloads.setdefault(owner, []).append(_judged(record, images))
    return InUse(
        images,
        {ref: WorkloadUse(ref, tuple(pods)) for ref, pods in sorted(workloads.items())},
        namespaces,
        {owner: tuple(pods) for owner, pods in unmanaged.items()},
        uninjected,
    )


async def find_pods_of(work: Work, workload: Mapping[str, Any], images: Images) -> WorkloadUse:
    """Look at the Pods of one live workload, by its selector, in one request. Raises the errors of kube.

    A Deployment that took over a ReplicaSet of another name takes one more (see owners.of_workload); a Pod that we
    restarted and that has no sidecar takes one for its namespace, and a second look when that asks for none.
    ``images`` are those of the InUse in which the workload was found.
    """
    mesh, ref = MeshAt.of(work), ObjectRef.of(workload)
    namespace, query = str(ref.namespace), label_query(workload["spec"]["selector"])
    found = [one async for one in _records(mesh, namespace, asked=True, labels=query, limit=PAGE_OF_ONE)]
    if any(one.sidecar is None and one.restarted_for for one in found) and not await _asked(mesh, namespace):
        found = [one async for one in _records(mesh, namespace, asked=False, labels=query, limit=PAGE_OF_ONE)]
    records = await of_workload(mesh.kube, workload, [one for one in found if not one.is_uninjected])
    images = _with_tags(images, records)
    return WorkloadUse(ref, tuple(_judged(one, images) for one in records))


async def _records(
    mesh: MeshAt, namespace: str, *, asked: bool, labels: str | None = None, limit: int = PAGE
) -> AsyncIterator[PodRecord]:
    async for page in mesh.kube.pages("v1", "Pod", namespace, limit=limit, labels=labels):
        found = [record_of(pod, mesh.distribution, asked=asked) for pod in page.items]
        # The next page is not to be in memory beside this one.
        del page
        for record in found:
            if record is not None:
                yield record


async def _asked(mesh: MeshAt, name: str) -> bool:
    """Tell whether a namespace asks for sidecars now."""
    fields = f"metadata.name={name}"
    listed = mesh.kube.list_objects("v1", "Namespace", fields=fields, metadata_only=True)
    return any([asks_for_injection(one["metadata"], mesh.distribution, mesh.namespace) async for one in listed])


def _with_tags(images: Images, records: Iterable[PodRecord]) -> Images:
    return with_tags(images, ((one.created, one.sidecar) for one in records if one.sidecar is not None))


def _judged(record: PodRecord, images: Images) -> PodUse:
    return PodUse(
        namespace=record.namespace,
        name=record.name,
        uid=record.uid,
        # One that has none, and counts, has lost it.
        state=judge(record.sidecar, images) if record.sidecar is not None else SidecarState.OUTDATED,
        restarted_for=record.restarted_for,
        created=record.created,
        ready=record.ready,
        sidecar_is_current=record.sidecar is not None and has_current_sidecar(record.sidecar, images),
    )
