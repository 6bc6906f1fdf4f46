"""Creating exported objects again under the new scope: what is there is left, so that it can be done twice."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from meshupgrade.api.v1alpha1.conditions import Reason
from meshupgrade.api.v1alpha1.names import FIELD_MANAGER
from meshupgrade.domain.scope import CLUSTER, Key, ScopeChange, keeps_status, owner_may_stay, remade
from meshupgrade.kube.client import ObjectRef, crd_ref
from meshupgrade.kube.errors import ApiStatusError, Conflict, NotFound
from meshupgrade.phases.crds.export import Export, Exports
from meshupgrade.phases.crds.parallel import for_each
from meshupgrade.phases.crds.scope_places import Places, owner_is_namespaced
from meshupgrade.phases.crds.told import counted, some
from meshupgrade.phases.shape import PhaseFailed, Work

__all__ = ["Importer", "settle"]

Object = Mapping[str, Any]
Begun = Sequence[tuple[ScopeChange, Export]]

BATCH = 100

SETTLE = 35.0
"""Seconds after which the garbage collector knows a CRD's scope.

It asks what is namespaced every 30 seconds (kube-controller-manager, the reset of its RESTMapper). Before that it looks
for an owner in the wrong place, takes it for gone, and deletes what it owns.
"""


@dataclass
class _Owner:
    """An object that is created again and that owned others of the export."""

    change: ScopeChange
    namespace: str | None
    uid: str


@dataclass
class Importer:
    """Imports the exports of CRDs that change together, since their objects may own each other."""

    work: Work
    exports: Exports
    begun: Begun
    guard: Callable[[], None]
    """Called before each object is written; raises when nothing may be written any more."""

    made: int = 0
    others: list[str] = field(default_factory=list)
    """Objects that somebody else has created meanwhile; they are left as they are."""

    lost_owners: int = 0
    _latest: dict[tuple[str, Key], str] = field(default_factory=dict)
    _inside: set[str] = field(default_factory=set)
    _owners: dict[str, _Owner] = field(default_factory=dict)
    _failures: list[str] = field(default_factory=list)

    async def index(self) -> None:
        """Read all exports once: which objects there are, and which of them own others."""
        owners: set[str] = set()
        uids: set[str] = set()
        for change, export in self.begun:
            async for obj in self.exports.objects(export):
                self._latest[change.name, _key(obj)] = _version_of(obj)
                uids.add(obj["metadata"]["uid"])
                owners |= {owner["uid"] for owner in obj["metadata"].get("ownerReferences") or []}
        self._inside = owners & uids

    async def create(self) -> None:
        """Create what is missing, status included. Raises PhaseFailed when the API server takes some not."""
        self._failures.clear()
        self.others.clear()
        self.lost_owners = 0
        for change, export in self.begun:
            places = self._places(change, export)
            status = keeps_status(change.merged, change.version)
            async for batch in self._batches(change, export):
                await self.work.report(f"creating the objects of CRD {change.name} again")
                await self._create_some(change, places, batch, status=status)
        if self._failures:
            raise PhaseFailed(
                Reason.API_REJECTED,
                f"{counted(self._failures)} of the export could not be created again: {some(self._failures)}. "
                f"They are safe in Secrets of namespace {self.work.namespace}; see docs/scope-change.md",
            )

    async def restore_owners(self) -> None:
        """Give objects the owners that were created again with them, under their new uids."""
        if not self._inside:
            return
        for change, _ in self.begun:
            await settle(self.work, change.name)
        for change, export in self.begun:
            places = self._places(change, export)
            async for batch in self._batches(change, export):
                for obj in batch:
                    await self._restore_owners_of(change, places, obj)

    def _places(self, change: ScopeChange, export: Export) -> Places:
        given = export.namespace or self.work.spec.crds.namespaces.get(change.name)
        return Places(self.work.tools.kube, change, given)

    async def _create_some(self, change: ScopeChange, places: Places, batch: Sequence[Object], *, status: bool) -> None:
        async def one(obj: Object) -> None:
            self.guard()
            try:
                await self._create_one(change, places, obj, status=status)
            except (ApiStatusError, LookupError) as error:
                self._failures.append(f"{_told(obj)}: {_why(error)}")

        await for_each(batch, one)

    async def _create_one(self, change: ScopeChange, places: Places, obj: Object, *, status: bool) -> None:
        kube = self.work.tools.kube
        namespace = await places.of(obj)
        outside = await self._outside_owners(change, obj)
        body = remade(obj, namespace, outside, with_status=not status, api_version=change.api_version)
        try:
            live = await kube.create(body)
            self.made += 1
            is_ours = True
        except Conflict:
            live = await kube.get(ObjectRef.of(body))
            is_ours = _is_ours(live)
        if not is_ours:
            self.others.append(_told(obj))
        elif status and "status" in obj and not live.get("status"):
            await kube.merge_patch(ObjectRef.of(body), {"status": obj["status"]}, subresource="status")
        old = obj["metadata"]["uid"]
        if old in self._inside:
            self._owners[old] = _Owner(change, namespace, live["metadata"]["uid"])

    async def _outside_owners(self, change: ScopeChange, obj: Object) -> list[Object]:
        """Give the owners that were not exported and may stay."""
        kept = []
        for owner in obj["metadata"].get("ownerReferences") or []:
            if owner["uid"] in self._inside:
                continue
            namespaced = await owner_is_namespaced(self.work.tools.kube, owner["apiVersion"], owner["kind"])
            if owner_may_stay(namespaced, change.before, change.after):
                kept.append(owner)
            else:
                self.lost_owners += 1
        return kept

    async def _restore_owners_of(self, change: ScopeChange, places: Places, obj: Object) -> None:
        wanted = [owner for owner in obj["metadata"].get("ownerReferences") or [] if owner["uid"] in self._inside]
        if not wanted or _told(obj) in self.others:
            return
        namespace = await places.of(obj)
        ref = ObjectRef(change.api_version, change.kind, obj["metadata"]["name"], namespace)
        found = []
        for owner in wanted:
            new = self._owners.get(owner["uid"])
            if new is None or (new.change.after != CLUSTER and new.namespace != namespace):
                self.lost_owners += 1
            else:
                found.append({**owner, "uid": new.uid})
        kube = self.work.tools.kube
        while found and (live := await kube.find(ref)) is not None:
            metadata = live["metadata"]
            present = metadata.get("ownerReferences") or []
            missing = [owner for owner in found if owner["uid"] not in {one["uid"] for one in present}]
            if not missing:
                return
            patch = {"resourceVersion": metadata["resourceVersion"], "ownerReferences": [*present, *missing]}
            self.guard()
            try:
                await kube.merge_patch(ref, {"metadata": patch})
                return
            except Conflict:
                continue
            except NotFound:
                return

    async def _batches(self, change: ScopeChange, export: Export) -> AsyncIterator[list[Object]]:
        """Yield the exported objects; of one that was exported twice the later."""
        batch: list[Object] = []
        async for obj in self.exports.objects(export):
            if self._latest[change.name, _key(obj)] != _version_of(obj):
                continue
            batch.append(obj)
            if len(batch) == BATCH:
                yield batch
                batch = []
        if batch:
            yield batch


async def settle(work: Work, crd_name: str) -> None:
    """Wait until the garbage collector knows the scope of a CRD; of an older one it does."""
    live = await work.tools.kube.find(crd_ref(crd_name))
    if live is None:
        return
    created = datetime.fromisoformat(live["metadata"]["creationTimestamp"])
    # Clocks differ: never longer than for a CRD that was created just now.
    due = time.monotonic() + min(SETTLE, SETTLE - (datetime.now(UTC) - created).total_seconds())
    while (left := due - time.monotonic()) > 0:
        await work.report(f"waiting {left:.0f} s until the garbage collector knows CRD {crd_name}")
        await asyncio.sleep(min(left, 5.0))


def _is_ours(live: Object) -> bool:
    """Tell whether we created it, before a crash."""
    return any(entry.get("manager") == FIELD_MANAGER for entry in live["metadata"].get("managedFields") or [])


def _why(error: Exception) -> str:
    return str(error) if isinstance(error, ApiStatusError) else "nothing tells its namespace"


def _version_of(obj: Object) -> str:
    metadata = obj["metadata"]
    return f"{metadata['uid']} {metadata['resourceVersion']}"


def _key(obj: Object) -> Key:
    return obj["metadata"].get("namespace"), obj["metadata"]["name"]


def _told(obj: Object) -> str:
    namespace, name = _key(obj)
    return f"{namespace}/{name}" if namespace else name
