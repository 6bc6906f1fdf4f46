"""What holds for all meshes at once: whether upgrades may begin at all, and how many run at the same time."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from itertools import takewhile

from meshupgrade.kube.client import Kube, ObjectRef

__all__ = ["Gate", "Turn"]


class Gate:
    """A cluster-wide pause, and turns for upgrades in the order in which they were asked for."""

    def __init__(
        self,
        kube: Kube | None = None,
        *,
        paused: bool = False,
        switch: tuple[str, str] | None = None,
        most: int | None = None,
        wake: Callable[[Hashable], None] = lambda _: None,
    ) -> None:
        """``switch`` is namespace and name of a ConfigMap that pauses; ``wake`` is told whose turn comes."""
        self._kube = kube
        self._paused = paused
        self._switch = switch
        self._most = most
        self._running: set[Hashable] = set()
        self._waiting: OrderedDict[Hashable, None] = OrderedDict()
        self.wake = wake

    async def why_paused(self) -> str:
        """Say why no upgrade may begin, or give the empty text. Raises the errors of kube."""
        if self._paused:
            return "the operator was started with --paused"
        if self._kube is None or self._switch is None:
            return ""
        namespace, name = self._switch
        found = await self._kube.find(ObjectRef("v1", "ConfigMap", name, namespace))
        value = ((found or {}).get("data") or {}).get("paused", "")
        return f"key paused of ConfigMap {namespace}/{name} is {value}" if str(value).lower() == "true" else ""

    def enter(self, key: Hashable) -> bool:
        """Begin an upgrade when it is its turn; else it is woken when that comes."""
        if key in self._running:
            return True
        if self._most is not None:
            ahead = list(takewhile(lambda waiting: waiting != key, self._waiting))
            if len(self._running) + len(ahead) >= self._most:
                self._waiting[key] = None
                return False
        self._waiting.pop(key, None)
        self._running.add(key)
        return True

    def leave(self, key: Hashable) -> None:
        """End an upgrade, or do not wait for a turn any more."""
        self._running.discard(key)
        self._waiting.pop(key, None)
        free = len(self._waiting) if self._most is None else self._most - len(self._running)
        for waiting in list(self._waiting)[: max(0, free)]:
            self.wake(waiting)

    @property
    def most(self) -> int | None:
        """How many upgrades may run at once; None for any number."""
        return self._most


@dataclass
class Turn:
    """The turn of one mesh, for one run."""

    gate: Gate
    key: Hashable
    waits: bool = False
    """Whether the run ended since it is not its turn yet."""

    def enter(self) -> bool:
        """Begin an upgrade, when it is its turn."""
        self.waits = not self.gate.enter(self.key)
        return not self.waits

    def leave(self) -> None:
        """End the run; one that waits keeps its place."""
        if not self.waits:
            self.gate.leave(self.key)
