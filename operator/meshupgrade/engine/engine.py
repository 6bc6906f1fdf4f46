"""The loop: keys out of the queue, one task a mesh, a bound on how many at once."""

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Callable, Hashable, Mapping
from typing import Any, Protocol

from meshupgrade.api.v1alpha1.names import API_VERSION, KIND
from meshupgrade.domain.state import State, backoff
from meshupgrade.engine.finalizer import remove_finalizer
from meshupgrade.engine.gate import Gate, Turn
from meshupgrade.engine.objects import fingerprint, has_finalizer, is_deleting, mesh_key, oldest_first
from meshupgrade.engine.queue import MeshKey, WorkQueue
from meshupgrade.engine.recovery import unlock_own
from meshupgrade.engine.run import Run
from meshupgrade.engine.status import ObjectGone, StatusWriter, read_status
from meshupgrade.helm.storage import ReleaseStorage
from meshupgrade.kube.client import ObjectRef
from meshupgrade.kube.errors import KubeError, NotFound
from meshupgrade.phases.crds import lift, lift_orphans
from meshupgrade.phases.shape import Busy, Tools

__all__ = ["Engine"]

logger = logging.getLogger(__name__)

ASK_AGAIN = 2.0
"""Seconds until an object whose change could not be read is asked for again."""


class Observer(Protocol):
    """Somebody who looks on."""

    def __call__(self, obj: Mapping[str, Any], *, deleted: bool) -> None:
        """Take in a MeshUpgrade as the watch shows it."""
        ...


class Engine:
    """Takes in what the watch sees, and brings each mesh to what its MeshUpgrade says."""

    def __init__(
        self,
        tools: Tools,
        *,
        workers: int = 8,
        gate: Gate | None = None,
        at_rest: Callable[[], None] | None = None,
        observer: Observer | None = None,
    ) -> None:
        """``at_rest`` is called each time that no mesh is worked on any more; ``observer`` is told all that is seen."""
        self._at_rest = at_rest
        self._observer = observer
        self._gate = gate or Gate()
        self._gate.wake = self._wake
        self._tools = tools
        self._queue = WorkQueue()
        self._workers = asyncio.Semaphore(workers)
        self._seen: dict[ObjectRef, tuple[Any, ...]] = {}
        self._pokes: dict[MeshKey, asyncio.Event] = {}
        self._failures: dict[MeshKey, int] = {}
        self._kubernetes_version = ""

    def observe(self, obj: Mapping[str, Any], *, deleted: bool) -> None:
        """Take in an event of the watch: the mesh is worked on when something that matters changed."""
        if self._observer is not None:
            self._observer(obj, deleted=deleted)
        ref = ObjectRef(API_VERSION, KIND, obj["metadata"]["name"], obj["metadata"]["namespace"])
        if deleted:
            self._seen.pop(ref, None)
        elif self._seen.get(ref) == fingerprint(obj):
            return
        else:
            self._seen[ref] = fingerprint(obj)
        key = mesh_key(obj)
        if key is None:
            logger.warning("%s names no supported mesh and is left alone", ref)
            return
        self._queue.add(key)
        if poke := self._pokes.get(key):
            poke.set()

    def _wake(self, key: Hashable) -> None:
        if isinstance(key, MeshKey):
            self._queue.add(key)

    async def run(self) -> None:
        """Work until cancelled; on the way out, every run ends its Helm process."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._lift_orphans(), name="lift orphans")
            while True:
                await self._workers.acquire()
                try:
                    key = await self._queue.get()
                except BaseException:
                    self._workers.release()
                    raise
                tasks.create_task(self._work(key), name=f"mesh {key}")

    async def _lift_orphans(self) -> None:
        """Restore what an operator that died left held off, for objects that are gone by now."""
        for failures in itertools.count(1):
            try:
                await lift_orphans(self._tools.kube)
                return
            except KubeError as error:
                logger.warning("what may be held off could not be looked for: %s", error)
                await asyncio.sleep(backoff(failures))

    async def _work(self, key: MeshKey) -> None:
        poke = self._pokes[key] = asyncio.Event()
        pause: float | None
        try:
            pause = await self._reconcile(key, poke)
        except ObjectGone:
            pause = 0.0
        except (KubeError, Busy) as error:
            pause = self._failed(key)
            logger.warning("%s: %s; tried again in %.0f s", key, error, pause)
        except Exception:
            # One mesh's defect must not stop the others; the trace is for the log, never for a status.
            pause = self._failed(key)
            logger.exception("%s: a defect in the operator; tried again in %.0f s", key, pause)
        finally:
            self._tools.secrets.forget(f"{key.namespace}/{key.release}")
            del self._pokes[key]
            self._queue.done(key)
            self._workers.release()
        if pause is not None:
            self._queue.add_after(key, pause)
        if not self._pokes and self._at_rest is not None:
            self._at_rest()

    def _failed(self, key: MeshKey) -> float:
        self._failures[key] = self._failures.get(key, 0) + 1
        return backoff(self._failures[key])

    async def _reconcile(self, key: MeshKey, poke: asyncio.Event) -> float | None:
        """Read all MeshUpgrades of the mesh and work on the one that counts; give the seconds until the next look."""
        self._kubernetes_version = self._kubernetes_version or await self._tools.kube.server_version()
        listed = self._tools.kube.list_objects(API_VERSION, KIND, key.namespace)
        objects = oldest_first([obj async for obj in listed if mesh_key(obj) == key])
        for obj in objects:
            if is_deleting(obj) and has_finalizer(obj):
                await self._let_go(obj)
        living = [obj for obj in objects if not is_deleting(obj)]
        for duplicate in living[1:]:
            await self._show_duplicate(duplicate, living[0])
        if not living:
            self._failures.pop(key, None)
            self._gate.leave(key)
            return None
        return await self._guarded(living[0], poke, key)

    async def _guarded(self, obj: Mapping[str, Any], poke: asyncio.Event, key: MeshKey) -> float | None:
        """Run, and end the run when its object is deleted meanwhile."""
        turn = Turn(self._gate, key)
        run = Run(self._tools, obj, self._kubernetes_version, self._failures.get(key, 0), turn)
        task = asyncio.create_task(run.go(), name=f"run {key}")
        try:
            while not task.done():
                poked = asyncio.create_task(poke.wait())
                await asyncio.wait({task, poked}, return_when=asyncio.FIRST_COMPLETED)
                poked.cancel()
                if task.done():
                    break
                poke.clear()
                try:
                    live = await self._tools.kube.find(ObjectRef.of(obj))
                except KubeError:
                    # No answer is no reason to stop an upgrade; what happened is asked again.
                    asyncio.get_running_loop().call_later(ASK_AGAIN, poke.set)
                    continue
                if live is None or live["metadata"]["uid"] != obj["metadata"]["uid"] or is_deleting(live):
                    logger.info("%s is being deleted: its upgrade stops here, the mesh is left as it is", key)
                    return 0.0
                run.superseded = live["metadata"]["generation"] != obj["metadata"]["generation"]
            if run.transient:
                self._failed(key)
            else:
                self._failures.pop(key, None)
            try:
                return task.result()
            except (KubeError, ObjectGone, Busy):
                raise
            except Exception:
                await run.show_defect()
                raise
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task
            turn.leave()

    async def _let_go(self, obj: Mapping[str, Any]) -> None:
        """Leave the release workable and the mesh as it is: the object of an upgrade under way is deleted."""
        key = mesh_key(obj)
        assert key is not None
        process = read_status(obj).helm_process
        storage = ReleaseStorage(self._tools.kube, key.namespace, key.release)
        revisions = await storage.revisions()
        if revisions:
            await unlock_own(storage, revisions[0], process, obj["metadata"]["uid"])
        await lift(self._tools.kube, obj["metadata"]["uid"])
        await remove_finalizer(self._tools.kube, ObjectRef.of(obj), obj["metadata"]["uid"])

    async def _show_duplicate(self, obj: Mapping[str, Any], first: Mapping[str, Any]) -> None:
        writer = StatusWriter(self._tools.kube, obj)
        writer.update(observed_generation=writer.generation)
        writer.show(
            State.DUPLICATE,
            f"MeshUpgrade {first['metadata']['name']} speaks of the same mesh and is older; this one does nothing "
            "until that one is deleted",
        )
        with contextlib.suppress(ObjectGone, NotFound):
            await writer.write()
