"""The workloads in the namespaces of the mesh, kept up to date by watches instead of a request for each."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from meshupgrade.api.v1alpha1.names import RESTART, RESTARTED_AT, RESTARTED_FOR
from meshupgrade.domain.injection import injection_asked
from meshupgrade.kube.client import Kube, ObjectRef
from meshupgrade.kube.errors import ApiStatusError, Gone, KubeError, NotFound, Unreachable
from meshupgrade.kube.readiness import WATCH_AGAIN, WATCH_SECONDS, is_ready, kept_back
from meshupgrade.phases.shape import Work

__all__ = ["Live", "LiveWorkloads", "mesh_namespaces", "opted_out", "places_of"]

Object = Mapping[str, Any]

API_VERSION = "apps/v1"
KINDS = ("DaemonSet", "Deployment", "StatefulSet")
NEVER = "Never"

FEW = 4
"""Up to so many namespaces are listed and watched one by one; of more, the whole cluster at once."""

LIST_AGAIN = 5.0
"""Seconds until workloads that cannot be watched, for want of a right, are listed again."""

LOOK_AGAIN = 5.0
"""Seconds after which a wait looks at what is known even when no watch told of a change."""


@dataclass(frozen=True, slots=True)
class Live:
    """What has to be known of a workload to restart it; its whole object would be far larger."""

    ref: ObjectRef
    uid: str
    version: str
    """Its resourceVersion."""

    generation: int
    ready: bool
    """Whether its last rollout is over, and all its Pods are available."""

    wanted: int
    """How many Pods it is to have."""

    paused: bool
    stuck: str
    """Why its controller has given up the rollout; empty while it has not."""

    kept_back: int | None
    """How many of its Pods a rollout leaves as they are; None for all."""

    restarted_for: str
    restarted_at: datetime | None
    """By the clock of the API server; None without the annotation, or when it is no time."""

    opted_out: bool
    asks_injection: tuple[bool, bool]
    """Whether its Pods would get a sidecar, in a namespace without and in one with injection."""

    labels: Mapping[str, str]
    """Of its Pods."""

    selector: Object

    @classmethod
    def of(cls, obj: Object, injection_annotation: str) -> Self:
        """Give what counts of a live Deployment, StatefulSet or DaemonSet."""
        metadata, spec, template = obj["metadata"], obj["spec"], obj["spec"]["template"]
        of_template = (template.get("metadata") or {}).get("annotations") or {}
        pod = {"metadata": template.get("metadata") or {}, "spec": template["spec"]}
        without, within = (injection_asked(pod, injection_annotation, by_namespace=asked) for asked in (False, True))
        return cls(
            ref=ObjectRef.of(obj),
            uid=metadata["uid"],
            version=metadata["resourceVersion"],
            generation=metadata.get("generation") or 0,
            ready=is_ready(obj),
            wanted=_wanted(obj),
            paused=bool(spec.get("paused")),
            stuck=_given_up(obj),
            kept_back=kept_back(obj),
            restarted_for=of_template.get(RESTARTED_FOR) or "",
            restarted_at=_time(of_template.get(RESTARTED_AT) or ""),
            opted_out=opted_out(metadata),
            asks_injection=(without, within),
            labels=(template.get("metadata") or {}).get("labels") or {},
            selector=spec["selector"],
        )

    @property
    def one_by_one(self) -> bool:
        """Whether some of its Pods come back only when somebody takes them away."""
        return self.kept_back != 0

    def as_object(self) -> dict[str, Any]:
        """Give as much of the object as it takes to find its Pods."""
        ref = self.ref
        metadata = {"name": ref.name, "namespace": ref.namespace, "uid": self.uid}
        spec = {"selector": self.selector}
        return {"apiVersion": ref.api_version, "kind": ref.kind, "metadata": metadata, "spec": spec, "status": {}}


def opted_out(metadata: Object) -> bool:
    """Tell whether the annotation on a workload or a namespace keeps it from being restarted."""
    return bool((metadata.get("annotations") or {}).get(RESTART) == NEVER)


async def mesh_namespaces(work: Work) -> list[str]:
    """Give the names of the namespaces of the mesh. Raises the errors of kube."""
    labels = f"{work.distribution.sidecar.namespace_label}={work.release}"
    listed = work.tools.kube.list_objects("v1", "Namespace", labels=labels, metadata_only=True)
    return [namespace["metadata"]["name"] async for namespace in listed]


def places_of(namespaces: Iterable[str]) -> list[str | None]:
    """Give what is listed to see all of these namespaces: each of a few, or everything."""
    names = sorted(set(namespaces))
    return list(names) if len(names) <= FEW else [None]


class LiveWorkloads:
    """The workloads of some namespaces."""

    def __init__(self, work: Work, namespaces: Iterable[str]) -> None:
        """Nothing is read before ``read``, and nothing is watched before ``watched``."""
        self._kube: Kube = work.tools.kube
        self._annotation = work.distribution.sidecar.injection_annotation
        self._namespaces = frozenset(namespaces)
        self._known: dict[ObjectRef, Live] = {}
        self._changes: dict[ObjectRef, asyncio.Event] = {}
        self._lists = [(kind, place) for kind in KINDS for place in places_of(self._namespaces)]

    async def read(self) -> None:
        """Read all of them anew. Raises the errors of kube."""
        await asyncio.gather(*(self._list(*which) for which in self._lists))

    @contextlib.asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Read all of them, and keep them up to date while entered."""
        versions = await asyncio.gather(*(self._list(*which) for which in self._lists))
        tasks = [
            asyncio.create_task(self._watch(kind, place, since))
            for (kind, place), since in zip(self._lists, versions, strict=True)
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def get(self, ref: ObjectRef) -> Live | None:
        """Give what is known of a workload; None when there is none."""
        return self._known.get(ref)

    def seen(self) -> dict[ObjectRef, tuple[int, bool]]:
        """Give the generation of each workload, and whether it is ready, as known now."""
        return {ref: (live.generation, live.ready) for ref, live in self._known.items()}

    def of_namespace(self, namespace: str) -> list[Live]:
        """Give what is known of all workloads of a namespace."""
        return [live for ref, live in sorted(self._known.items()) if ref.namespace == namespace]

    def put(self, obj: Object) -> Live:
        """Take in what a request gave, unless something newer is known; give what is known then."""
        live = Live.of(obj, self._annotation)
        before = self._known.get(live.ref)
        # A watch is late: it may still tell of what was before our own patch.
        if before is not None and before.uid == live.uid and before.generation > live.generation:
            return before
        self._known[live.ref] = live
        self._tell(live.ref)
        return live

    async def refresh(self, ref: ObjectRef) -> dict[str, Any] | None:
        """Read one workload, and give its whole object; None when it is gone. Raises the errors of kube."""
        try:
            obj = await self._kube.get(ref)
        except NotFound:
            self._drop(ref)
            return None
        self.put(obj)
        return obj

    async def until(self, ref: ObjectRef, done: Callable[[Live | None], bool], deadline: float) -> bool:
        """Wait until a workload is as wanted; False when it is not by the deadline, a time of the event loop."""
        loop = asyncio.get_running_loop()
        change = self._changes.setdefault(ref, asyncio.Event())
        while not done(self.get(ref)):
            left = deadline - loop.time()
            if left <= 0:
                return False
            change.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(change.wait(), min(left, LOOK_AGAIN))
        return True

    async def _list(self, kind: str, place: str | None) -> str:
        """Read one list, and give the version from which on it can be watched."""
        seen, version = set(), ""
        async for page in self._kube.pages(API_VERSION, kind, place):
            version = page.version
            for item in page.items:
                if item["metadata"]["namespace"] in self._namespaces:
                    seen.add(self.put(item).ref)
        for ref in [ref for ref in self._known if ref.kind == kind and place in (None, ref.namespace)]:
            if ref not in seen:
                self._drop(ref)
        return version

    async def _watch(self, kind: str, place: str | None, since: str) -> None:
        while True:
            try:
                async for event, obj in self._kube.watch(API_VERSION, kind, place, since=since, seconds=WATCH_SECONDS):
                    since = obj["metadata"]["resourceVersion"]
                    self._take({"apiVersion": API_VERSION, "kind": kind, **obj}, gone=event == "DELETED")
            except Unreachable:
                await asyncio.sleep(WATCH_AGAIN)
            except ApiStatusError as error:
                # What was is forgotten, so all is read anew; or there is no right to watch, and it is read ever again.
                await asyncio.sleep(WATCH_AGAIN if isinstance(error, Gone) else LIST_AGAIN)
                with contextlib.suppress(KubeError):
                    since = await self._list(kind, place)

    def _take(self, obj: Object, *, gone: bool) -> None:
        if obj["metadata"]["namespace"] not in self._namespaces:
            return
        ref, uid = ObjectRef.of(obj), obj["metadata"]["uid"]
        if not gone:
            self.put(obj)
        elif (known := self._known.get(ref)) is not None and known.uid == uid:
            self._drop(ref)

    def _drop(self, ref: ObjectRef) -> None:
        self._known.pop(ref, None)
        self._tell(ref)

    def _tell(self, ref: ObjectRef) -> None:
        if (change := self._changes.get(ref)) is not None:
            change.set()


def _time(text: str) -> datetime | None:
    with contextlib.suppress(ValueError):
        at = datetime.fromisoformat(text)
        return at if at.tzinfo is not None else None
    return None


def _wanted(workload: Object) -> int:
    if workload["kind"] == "DaemonSet":
        return int((workload.get("status") or {}).get("desiredNumberScheduled") or 0)
    return int(workload["spec"].get("replicas", 1))


def _given_up(workload: Object) -> str:
    status = workload.get("status") or {}
    if status.get("observedGeneration", 0) < workload["metadata"].get("generation", 0):
        return ""
    for condition in status.get("conditions") or []:
        if condition["type"] == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded":
            return str(condition.get("message") or condition["reason"])
    return ""
