"""The Lease under which CRDs are written, on a real API server: one holder at a time, and none that only thinks so."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from meshupgrade.kube.access import load_access
from meshupgrade.kube.client import Kube, ObjectRef
from meshupgrade.kube.lease import LeaseLost, LeaseTimes, hold_lease
from tests.cluster.cluster import Cluster

SHORT = LeaseTimes(duration=1.0, deadline=0.6, renew=0.1, retry=0.05)
PATIENCE = 20.0


@pytest.fixture
async def kube(cluster: Cluster) -> AsyncIterator[Kube]:
    access = await load_access(cluster.kubeconfig, None)
    async with Kube(access.configuration) as client:
        yield client


class Candidate:
    """Somebody who wants the Lease; ``waited`` names those who were waited for."""

    def __init__(self, kube: Kube, name: tuple[str, str], holder: str, is_gone: Callable[[str], bool] | None = None):
        self.waited: list[str] = []
        self.asked = asyncio.Event()
        self._arguments: dict[str, Any] = {"waiting": self._waiting, "times": SHORT}
        if is_gone is not None:
            self._arguments["is_gone"] = is_gone
        self._held = (kube, name, holder)

    async def _waiting(self, holder: str) -> None:
        self.waited.append(holder)
        self.asked.set()

    def hold(self) -> Any:
        return hold_lease(*self._held, **self._arguments)


@pytest.fixture
def name() -> tuple[str, str]:
    return "kube-system", f"test-{uuid.uuid4().hex[:8]}"


async def live(kube: Kube, name: tuple[str, str]) -> dict[str, Any]:
    return await kube.get(ObjectRef("coordination.k8s.io/v1", "Lease", name[1], name[0]))


async def test_the_second_waits_until_the_first_gives_it_back(kube: Kube, name: tuple[str, str]) -> None:
    first, second = Candidate(kube, name, "first"), Candidate(kube, name, "second")
    order: list[str] = []

    async def take_turns() -> None:
        async with second.hold() as held:
            held.check()
            order.append("second")

    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as tasks, first.hold() as held:
        tasks.create_task(take_turns())
        await second.asked.wait()
        # Longer than it lasts: only its renewal keeps it.
        await asyncio.sleep(2 * SHORT.duration)
        held.check()
        order.append("first")
    assert order == ["first", "second"]
    assert set(second.waited) == {"first"}
    assert not (await live(kube, name))["spec"].get("holderIdentity")


async def test_one_that_is_not_renewed_is_taken_over(kube: Kube, name: tuple[str, str]) -> None:
    metadata = {"name": name[1], "namespace": name[0]}
    # A time that was written elsewhere means nothing: this one is far in the future.
    spec = {"holderIdentity": "dead", "leaseDurationSeconds": 1, "renewTime": "2099-01-01T00:00:00.000000Z"}
    await kube.create({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec})
    candidate = Candidate(kube, name, "next")
    async with asyncio.timeout(PATIENCE), candidate.hold() as held:
        held.check()
        assert (await live(kube, name))["spec"]["holderIdentity"] == "next"
    assert set(candidate.waited) == {"dead"}


async def test_one_whose_holder_is_provably_gone_is_not_waited_for(kube: Kube, name: tuple[str, str]) -> None:
    metadata = {"name": name[1], "namespace": name[0]}
    spec = {"holderIdentity": "dead", "leaseDurationSeconds": 3600}
    await kube.create({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec})
    candidate = Candidate(kube, name, "next", is_gone=lambda holder: holder == "dead")
    async with asyncio.timeout(PATIENCE), candidate.hold() as held:
        held.check()
    assert candidate.waited == []


async def test_who_lost_it_writes_no_more_and_does_not_give_back_what_is_not_his(
    kube: Kube, name: tuple[str, str]
) -> None:
    async with asyncio.timeout(PATIENCE), Candidate(kube, name, "first").hold() as held:
        thief = {"spec": {"holderIdentity": "thief", "leaseDurationSeconds": 3600}}
        await kube.merge_patch(ObjectRef("coordination.k8s.io/v1", "Lease", name[1], name[0]), thief)
        while True:
            try:
                held.check()
            except LeaseLost:
                break
            await asyncio.sleep(0.05)
    assert (await live(kube, name))["spec"]["holderIdentity"] == "thief"
