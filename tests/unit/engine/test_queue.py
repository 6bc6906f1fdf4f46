"""The work queue: client-go's semantics, with timers."""

import asyncio

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from looptime import LoopTimeProxy

from meshupgrade.engine.queue import MeshKey, WorkQueue

A, B, C = (MeshKey("ns", name) for name in "abc")


def test_a_key_in_words() -> None:
    assert str(MeshKey("osm-system", "osm")) == "osm-system/osm"


async def is_empty(queue: WorkQueue) -> bool:
    task = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waits = not task.done()
    task.cancel()
    return waits


async def test_first_come_first_served() -> None:
    queue = WorkQueue()
    for key in (B, A, C):
        queue.add(key)
    assert [await queue.get() for _ in range(3)] == [B, A, C]


async def test_a_key_that_waits_is_not_worked_on_twice() -> None:
    queue = WorkQueue()
    queue.add(A)
    queue.add(B)
    queue.add(A)
    assert [await queue.get() for _ in range(2)] == [A, B]
    assert await is_empty(queue)


async def test_a_key_that_is_worked_on_is_not_given_to_another_worker() -> None:
    queue = WorkQueue()
    queue.add(A)
    await queue.get()
    queue.add(A)
    queue.add(A)
    assert await is_empty(queue)


async def test_what_came_meanwhile_makes_it_run_once_more() -> None:
    queue = WorkQueue()
    queue.add(A)
    await queue.get()
    queue.add(A)
    queue.add(A)
    queue.done(A)
    assert await queue.get() == A
    queue.done(A)
    assert await is_empty(queue)


async def test_a_key_that_is_done_is_not_given_again() -> None:
    queue = WorkQueue()
    queue.add(A)
    await queue.get()
    queue.done(A)
    assert await is_empty(queue)
    queue.done(A)
    assert await is_empty(queue)


async def test_a_worker_that_waits_is_woken() -> None:
    queue = WorkQueue()
    workers = [asyncio.create_task(queue.get()) for _ in range(2)]
    await asyncio.sleep(0)
    queue.add(A)
    queue.add(B)
    assert set(await asyncio.gather(*workers)) == {A, B}


async def test_a_worker_that_is_cancelled_takes_no_key_with_it() -> None:
    queue = WorkQueue()
    worker = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add(A)
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)
    assert await queue.get() == A


@pytest.mark.looptime
async def test_a_timer_adds_its_key_when_it_is_due(looptime: LoopTimeProxy) -> None:
    queue = WorkQueue()
    queue.add_after(A, 100)
    assert await queue.get() == A
    assert looptime == 100


@pytest.mark.looptime
@pytest.mark.parametrize(("first", "second", "due"), [(100, 30, 30), (30, 100, 30), (50, 50, 50)])
async def test_of_two_timers_the_sooner_counts_and_fires_once(
    first: float, second: float, due: float, looptime: LoopTimeProxy
) -> None:
    queue = WorkQueue()
    queue.add_after(A, first)
    queue.add_after(A, second)
    assert await queue.get() == A
    assert looptime == due
    queue.done(A)
    await asyncio.sleep(1000)
    assert await is_empty(queue)


@pytest.mark.looptime
async def test_timers_of_several_keys_fire_in_their_order() -> None:
    queue = WorkQueue()
    for key, seconds in ((A, 30), (B, 10), (C, 20)):
        queue.add_after(key, seconds)
    assert [await queue.get() for _ in range(3)] == [B, C, A]


@pytest.mark.looptime
async def test_adding_a_key_takes_its_timer_away(looptime: LoopTimeProxy) -> None:
    queue = WorkQueue()
    queue.add_after(A, 100)
    queue.add(A)
    assert await queue.get() == A
    assert looptime == 0
    queue.done(A)
    await asyncio.sleep(1000)
    assert await is_empty(queue)


@pytest.mark.looptime
async def test_a_key_that_waits_needs_no_timer() -> None:
    queue = WorkQueue()
    queue.add(A)
    queue.add_after(A, 100)
    assert await queue.get() == A
    queue.done(A)
    await asyncio.sleep(1000)
    assert await is_empty(queue)


@pytest.mark.looptime
async def test_a_timer_that_fires_while_its_key_is_worked_on_makes_it_run_once_more() -> None:
    queue = WorkQueue()
    queue.add(A)
    await queue.get()
    queue.add_after(A, 10)
    await asyncio.sleep(20)
    assert await is_empty(queue)
    queue.done(A)
    assert await queue.get() == A


@pytest.mark.looptime
async def test_after_a_timer_fired_there_can_be_another(looptime: LoopTimeProxy) -> None:
    queue = WorkQueue()
    for due in (10, 20, 30):
        queue.add_after(A, 10)
        assert await queue.get() == A
        assert looptime == due
        queue.done(A)


KEYS = st.sampled_from([A, B, C])


def some_are_ready(model: "Model") -> bool:
    return bool(model.ready())


def some_are_active(model: "Model") -> bool:
    return bool(model.active)


@settings(max_examples=60, stateful_step_count=30, deadline=None)
class Model(RuleBasedStateMachine):
    """The queue against a model of it: what must still be worked on, and what is being worked on."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = WorkQueue()
        self.due: list[MeshKey] = []
        self.active: set[MeshKey] = set()

    @rule(key=KEYS)
    def add(self, key: MeshKey) -> None:
        self.queue.add(key)
        if key not in self.due:
            self.due.append(key)

    @precondition(some_are_ready)
    @rule()
    def get(self) -> None:
        expected = self.ready()[0]
        get = self.queue.get()
        # Nothing to wait for, so the coroutine ends at once.
        with pytest.raises(StopIteration) as ended:
            get.send(None)
        assert ended.value.value == expected
        self.due.remove(expected)
        self.active.add(expected)

    @precondition(some_are_active)
    @rule(data=st.data())
    def done(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.active)))
        self.queue.done(key)
        self.active.discard(key)
        if key in self.due:
            # It came while it was worked on, and takes its place at the end.
            self.due.remove(key)
            self.due.append(key)

    @invariant()
    def no_key_is_lost(self) -> None:
        assert set(self.queue._waiting) | self.queue._again == set(self.due)
        assert self.queue._active == self.active

    def ready(self) -> list[MeshKey]:
        return [key for key in self.due if key not in self.active]


test_the_queue_behaves_as_its_model = Model.TestCase
