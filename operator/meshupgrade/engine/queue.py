"""The work queue: one task works one mesh, and what comes meanwhile makes it run once more.

The semantics are those of client-go's workqueue (k8s.io/client-go/util/workqueue): a key that is added while it is
worked on is worked on again afterwards, once, however often it was added.
"""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass

__all__ = ["MeshKey", "WorkQueue"]


@dataclass(frozen=True, order=True)
class MeshKey:
    """One mesh: a Helm release in a namespace, whichever MeshUpgrades speak of it."""

    namespace: str
    release: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.release}"


class WorkQueue:
    """Keys to work on, first come first served, with timers of its own."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[MeshKey, None] = OrderedDict()
        self._active: set[MeshKey] = set()
        self._again: set[MeshKey] = set()
        self._timers: dict[MeshKey, asyncio.TimerHandle] = {}
        self._some = asyncio.Event()

    def add(self, key: MeshKey) -> None:
        """Have the key worked on as soon as there is a worker; its timer, if any, is gone with that."""
        self._cancel_timer(key)
        if key in self._active:
            self._again.add(key)
        else:
            self._waiting[key] = None
            self._some.set()

    def add_after(self, key: MeshKey, seconds: float) -> None:
        """Have the key worked on after that time, unless it is before. A timer that fires sooner is kept."""
        loop = asyncio.get_running_loop()
        timer = self._timers.get(key)
        if key in self._waiting or (timer is not None and timer.when() <= loop.time() + seconds):
            return
        self._cancel_timer(key)
        self._timers[key] = loop.call_later(seconds, self.add, key)

    async def get(self) -> MeshKey:
        """Wait for a key and give it; ``done`` must be called for it."""
        while not self._waiting:
            self._some.clear()
            await self._some.wait()
        key, _ = self._waiting.popitem(last=False)
        self._active.add(key)
        return key

    def done(self, key: MeshKey) -> None:
        """Say that the key was worked on."""
        self._active.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    def _cancel_timer(self, key: MeshKey) -> None:
        if timer := self._timers.pop(key, None):
            timer.cancel()
