"""Whether the workloads of a release are ready.

Source of the rule: kubectl rollout status (k8s.io/kubectl/pkg/polymorphichelpers/rollout_status.go): the controller has
seen the newest generation, and all replicas are updated and available.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from meshupgrade.kube.client import Kube, ObjectRef
from meshupgrade.kube.errors import Unreachable

__all__ = ["Readiness", "is_ready", "kept_back", "observe_readiness", "watch_readiness", "workload_refs"]

Object = Mapping[str, Any]
KINDS = ("Deployment", "StatefulSet", "DaemonSet")

WATCH_SECONDS = 300.0
"""Seconds that one watch lasts at most."""

WATCH_AGAIN = 1.0
"""Seconds until a watch that has ended is taken up again."""


@dataclass(frozen=True)
class Readiness:
    """Which of the workloads are ready; a missing one is not."""

    total: int
    unready: tuple[Object, ...]
    missing: tuple[str, ...]

    @property
    def ready(self) -> bool:
        """Tell whether all are."""
        return not self.unready and not self.missing

    def summary(self) -> str:
        """Give it in words: how many are ready, and which are not."""
        waiting = [*self.missing, *(workload["metadata"]["name"] for workload in self.unready)]
        text = f"{self.total - len(waiting)} of {self.total} workloads ready"
        return f"{text}, waiting for {', '.join(waiting)}" if waiting else text


def workload_refs(objects: Sequence[Object], namespace: str) -> list[ObjectRef]:
    """Give the Deployments, StatefulSets and DaemonSets in a manifest."""
    return [ObjectRef.of(obj, namespace) for obj in objects if obj["kind"] in KINDS]


def is_ready(workload: Object) -> bool:
    """Tell whether a workload runs what its spec says, in full.

    Pods that nobody replaces by himself need not be updated: those below the partition of a StatefulSet, and all of a
    StatefulSet or a DaemonSet whose strategy is OnDelete.
    """
    status = workload.get("status") or {}
    if status.get("observedGeneration", 0) < workload["metadata"].get("generation", 0):
        return False
    kept = kept_back(workload)
    if workload["kind"] == "DaemonSet":
        wanted = status.get("desiredNumberScheduled", 0)
        updated, counts = status.get("updatedNumberScheduled", 0), (status.get("numberAvailable", 0),)
    else:
        wanted = workload["spec"].get("replicas", 1)
        updated = status.get("updatedReplicas", 0)
        counts = tuple(status.get(name, 0) for name in ("replicas", "availableReplicas"))
    enough = updated == wanted if kept == 0 else kept is None or updated >= wanted - kept
    return enough and all(count == wanted for count in counts)


def kept_back(workload: Object) -> int | None:
    """Give how many Pods of a workload a rollout leaves as they are: none, those below a partition, or None for all."""
    strategy = workload["spec"].get("updateStrategy") or {}
    if strategy.get("type") == "OnDelete":
        return None
    return int((strategy.get("rollingUpdate") or {}).get("partition") or 0)


async def observe_readiness(kube: Kube, refs: Sequence[ObjectRef]) -> Readiness:
    """Look at the workloads, in one request for each kind and namespace."""
    live: dict[ObjectRef, Object] = {}
    for api_version, kind, namespace in _lists(refs):
        async for workload in kube.list_objects(api_version, kind, namespace):
            live[ObjectRef.of(workload)] = workload
    found = [(ref, live.get(ref)) for ref in refs]
    return Readiness(
        total=len(refs),
        unready=tuple(workload for _, workload in found if workload is not None and not is_ready(workload)),
        missing=tuple(ref.name for ref, workload in found if workload is None),
    )


@contextlib.asynccontextmanager
async def watch_readiness(kube: Kube, refs: Sequence[ObjectRef]) -> AsyncIterator[Callable[[float], Awaitable[bool]]]:
    """Give what waits, for so many seconds at most, until one more of the workloads is ready, and tells whether it is.

    It only says when to look again: how things are, ``observe_readiness`` tells. Where no watch is to be had, for want
    of a right or of an answer, the seconds remain.
    """
    some, wanted = asyncio.Event(), frozenset(refs)

    async def watch(api_version: str, kind: str, namespace: str) -> None:
        while True:
            with contextlib.suppress(Unreachable):
                # From 0 on it begins with all objects as they are.
                async for _, obj in kube.watch(api_version, kind, namespace, since="0", seconds=WATCH_SECONDS):
                    workload = {"apiVersion": api_version, "kind": kind, **obj}
                    if ObjectRef.of(workload) in wanted and is_ready(workload):
                        some.set()
            await asyncio.sleep(WATCH_AGAIN)

    async def one_more(seconds: float) -> bool:
        try:
            await asyncio.wait_for(some.wait(), seconds)
        except TimeoutError:
            return False
        some.clear()
        return True

    tasks = [asyncio.create_task(watch(*place)) for place in _lists(refs)]
    try:
        yield one_more
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _lists(refs: Sequence[ObjectRef]) -> list[tuple[str, str, str]]:
    """Give API version, kind and namespace of the lists that the workloads are in."""
    return sorted({(ref.api_version, ref.kind, ref.namespace or "") for ref in refs})
