"""A Lease held while something is done that only one operator of a cluster may do at a time.

As client-go's leader election: what another holder has is watched by our own clock, and never compared with a time
that was written elsewhere. The election of the kubernetes package is not used for it: it measures with the wall clock,
says nothing of whom it waits for, and does not give the Lease back when the work is done.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from meshupgrade.kube.client import Kube, ObjectRef
from meshupgrade.kube.errors import Conflict, KubeError, NotFound

__all__ = ["HeldLease", "LeaseLost", "LeaseTimes", "hold_lease"]

API_VERSION = "coordination.k8s.io/v1"


class LeaseLost(Exception):
    """The Lease could not be renewed in time, or somebody else took it: nothing more may be written."""


@dataclass(frozen=True)
class LeaseTimes:
    """How long a Lease lasts, in seconds."""

    duration: float = 15.0
    """How long it is respected after its last renewal."""

    deadline: float = 10.0
    """How long its holder goes on without a renewal; shorter, so that two holders never overlap."""

    renew: float = 3.0
    retry: float = 0.5


class HeldLease:
    """A Lease that was acquired."""

    def __init__(self, times: LeaseTimes, renewed: float) -> None:
        self._times = times
        self._renewed = renewed
        self._taken = False

    def check(self) -> None:
        """Make sure that it is still held, before each write. Raises LeaseLost."""
        if self._taken or _clock() - self._renewed > self._times.deadline:
            raise LeaseLost

    def renewed(self, at: float) -> None:
        """Take in that a renewal that was sent at ``at`` was accepted."""
        self._renewed = at

    def taken(self) -> None:
        """Take in that somebody else holds it now."""
        self._taken = True


@contextlib.asynccontextmanager
async def hold_lease(
    kube: Kube,
    name: tuple[str, str],
    holder: str,
    *,
    waiting: Callable[[str], Awaitable[None]],
    is_gone: Callable[[str], bool] = lambda _: False,
    times: LeaseTimes | None = None,
) -> AsyncIterator[HeldLease]:
    """Hold the Lease of that namespace and name while entered; it is renewed meanwhile and given back afterwards.

    ``waiting`` is told the holder that is waited for, again and again; ``is_gone`` tells of a holder that is provably
    gone. Raises KubeError when the API server does not answer or does not allow it.
    """
    times = times or LeaseTimes()
    namespace, lease_name = name
    ref = ObjectRef(API_VERSION, "Lease", lease_name, namespace)
    lease = _Lease(kube, ref, holder, times)
    held = HeldLease(times, await lease.acquire(waiting, is_gone))
    renewing = asyncio.create_task(lease.keep(held), name=f"renew {ref}")
    try:
        yield held
    finally:
        renewing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await renewing
        # One that cannot be given back runs out by itself.
        with contextlib.suppress(KubeError):
            await lease.release()


class _Lease:
    """The Lease object; writes are guarded by its resourceVersion."""

    def __init__(self, kube: Kube, ref: ObjectRef, holder: str, times: LeaseTimes) -> None:
        self._kube = kube
        self._ref = ref
        self._holder = holder
        self._times = times
        self._live: dict[str, Any] = {}
        self._acquired = ""

    async def acquire(self, waiting: Callable[[str], Awaitable[None]], is_gone: Callable[[str], bool]) -> float:
        """Wait until it is ours, and give when, by our own clock, the write was sent that made it so."""
        seen, since = "", _clock()
        while True:
            live = await self._kube.find(self._ref)
            spec = (live or {}).get("spec") or {}
            other = str(spec.get("holderIdentity") or "")
            if live is not None and live["metadata"]["resourceVersion"] != seen:
                seen, since = live["metadata"]["resourceVersion"], _clock()
            expired = _clock() - since > float(spec.get("leaseDurationSeconds") or self._times.duration)
            if not other or other == self._holder or expired or is_gone(other):
                at = _clock()
                with contextlib.suppress(Conflict):
                    await self._take(live)
                    return at
                continue
            await waiting(other)
            await asyncio.sleep(self._times.retry)

    async def keep(self, held: HeldLease) -> None:
        """Renew it until cancelled, or until somebody else has it."""
        while True:
            await asyncio.sleep(self._times.renew)
            at = _clock()
            try:
                self._live = await self._change(self._live, self._spec())
                held.renewed(at)
            except (Conflict, NotFound):
                held.taken()
                return
            except KubeError:
                # Tried again; without an answer for too long, the holder stops by itself.
                continue

    async def release(self) -> None:
        """Give it back, unless it is somebody else's by now."""
        empty = {"leaseDurationSeconds": 1, "holderIdentity": ""}
        with contextlib.suppress(NotFound):
            try:
                await self._change(self._live, empty)
            except Conflict:
                # A renewal that was cut off may have arrived all the same.
                live = await self._kube.get(self._ref)
                if live["spec"].get("holderIdentity") == self._holder:
                    with contextlib.suppress(Conflict):
                        await self._change(live, empty)

    async def _take(self, live: Mapping[str, Any] | None) -> None:
        self._acquired = _now()
        if live is not None:
            self._live = await self._change(live, self._spec())
            return
        metadata = {"name": self._ref.name, "namespace": self._ref.namespace}
        self._live = await self._kube.create(
            {"apiVersion": self._ref.api_version, "kind": self._ref.kind, "metadata": metadata, "spec": self._spec()}
        )

    def _spec(self) -> dict[str, Any]:
        return {
            "holderIdentity": self._holder,
            "leaseDurationSeconds": max(1, round(self._times.duration)),
            "acquireTime": self._acquired,
            "renewTime": _now(),
        }

    async def _change(self, live: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, Any]:
        """Write it unless it changed meanwhile. Raises Conflict."""
        metadata = {"resourceVersion": live["metadata"]["resourceVersion"]}
        return await self._kube.merge_patch(self._ref, {"metadata": metadata, "spec": spec})


def _clock() -> float:
    return asyncio.get_running_loop().time()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
