"""Turns of upgrades: no more at once than allowed, first come first served."""

from collections.abc import Hashable
from typing import Any, cast

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from meshupgrade.engine.gate import Gate, Turn
from meshupgrade.kube.client import Kube, ObjectRef

A, B, C, D = "ABCD"


def gate(most: int | None = 1, running: str = "") -> tuple[Gate, list[Hashable]]:
    """Give a gate with these inside, and the list of whom it wakes."""
    woken: list[Hashable] = []
    made = Gate(most=most, wake=woken.append)
    assert made.most == most
    assert all(made.enter(key) for key in running)
    return made, woken


def test_without_a_bound_everybody_enters() -> None:
    made, woken = gate(None, "ABCD")
    made.leave(A)
    assert woken == []


def test_entering_twice_takes_one_slot() -> None:
    made, _ = gate(2, "AAA")
    assert made.enter(B)
    assert made.enter(A)
    assert not made.enter(C)


def test_first_come_first_served() -> None:
    made, woken = gate(1, "A")
    assert not made.enter(B)
    assert not made.enter(C)
    made.leave(A)
    assert woken == [B]
    assert not made.enter(C)
    # Who comes now is the last.
    assert not made.enter(A)
    assert made.enter(B)
    made.leave(B)
    assert woken == [B, C]
    assert made.enter(C)
    made.leave(C)
    assert woken == [B, C, A]


def test_asking_again_keeps_the_place() -> None:
    made, woken = gate(1, "A")
    for key in (B, C, C, B):
        assert not made.enter(key)
    made.leave(A)
    assert woken == [B]


def test_nobody_is_woken_for_nothing() -> None:
    made, woken = gate(2, "AB")
    assert not made.enter(C)
    # Neither of them had a slot.
    made.leave(D)
    made.enter(D)
    made.leave(D)
    assert woken == []


def test_each_free_slot_wakes_one() -> None:
    made, woken = gate(2, "AB")
    for key in (C, D):
        assert not made.enter(key)
    made.leave(A)
    assert woken == [C]
    made.leave(B)
    assert woken[1:] == [C, D]


def test_who_is_woken_later_and_comes_first_does_not_have_to_wait() -> None:
    made, _ = gate(2, "AB")
    for key in (C, D):
        assert not made.enter(key)
    made.leave(A)
    made.leave(B)
    assert made.enter(D)
    # The other slot is kept for the one that waits longer.
    assert not made.enter(A)
    assert made.enter(C)


def test_a_newcomer_takes_a_slot_that_nobody_waits_for() -> None:
    made, _ = gate(3, "ABC")
    assert not made.enter(D)
    made.leave(A)
    made.leave(B)
    assert made.enter("E")
    assert not made.enter("F")
    assert made.enter(D)


def test_who_leaves_while_waiting_loses_the_place() -> None:
    made, woken = gate(1, "A")
    for key in (B, C):
        assert not made.enter(key)
    made.leave(B)
    assert woken == []
    made.leave(A)
    assert woken == [C]
    assert not made.enter(B)
    # The slot that one leaves unused goes to the next.
    made.leave(C)
    assert woken == [C, B]


def test_the_turn_of_a_run() -> None:
    made, woken = gate(1)
    first, second = Turn(made, A), Turn(made, B)
    assert first.enter()
    assert not second.enter()
    # A run that ends since it has to wait keeps its place.
    second.leave()
    first.leave()
    assert woken == [B]
    again = Turn(made, B)
    assert again.enter()
    again.leave()
    assert Turn(made, A).enter()


def test_a_run_that_does_not_come_to_its_turn_gives_up_its_place() -> None:
    made, woken = gate(1, "A")
    waiting = Turn(made, B)
    assert not waiting.enter()
    waiting.leave()
    assert not made.enter(C)
    # The next run of it finds that it is suspended, or has nothing to do.
    Turn(made, B).leave()
    made.leave(A)
    assert woken == [C]


class _ConfigMaps:
    """Of the client, what the gate asks."""

    def __init__(self, data: dict[str, Any] | None) -> None:
        self._data = data

    async def find(self, ref: ObjectRef) -> dict[str, Any] | None:
        assert ref == ObjectRef("v1", "ConfigMap", "pause", "meshupgrade")
        return None if self._data is None else {"metadata": {"name": ref.name}, "data": self._data}


@pytest.mark.parametrize(
    ("data", "paused"),
    [
        (None, False),
        ({}, False),
        ({"paused": "true"}, True),
        ({"paused": "True"}, True),
        ({"paused": "false"}, False),
        ({"paused": ""}, False),
        ({"other": "true"}, False),
    ],
)
async def test_the_switch_of_the_cluster(data: dict[str, Any] | None, paused: bool) -> None:
    made = Gate(cast("Kube", _ConfigMaps(data)), switch=("meshupgrade", "pause"))
    why = await made.why_paused()
    assert bool(why) is paused
    assert not paused or "ConfigMap meshupgrade/pause" in why


async def test_a_switch_without_data_pauses_nothing() -> None:
    made = Gate(cast("Kube", _ConfigMaps({})), switch=("meshupgrade", "pause"), paused=True)
    assert "--paused" in await made.why_paused()
    assert await Gate().why_paused() == ""


KEYS = st.sampled_from("ABCDEFG")


def somebody_runs(model: "Model") -> bool:
    return bool(model.running)


def somebody_waits(model: "Model") -> bool:
    return bool(model.waiting)


@settings(max_examples=100, stateful_step_count=40, deadline=None)
class Model(RuleBasedStateMachine):
    """The gate against a model of it: who runs, and who waits in which order."""

    @initialize(most=st.integers(1, 3))
    def begin(self, most: int) -> None:
        self.most = most
        self.running: set[str] = set()
        self.waiting: list[str] = []
        self.woken: list[Hashable] = []
        self.gate = Gate(most=most, wake=self.woken.append)

    @rule(key=KEYS)
    def enter(self, key: str) -> None:
        free = self.most - len(self.running)
        ahead = self.waiting.index(key) if key in self.waiting else len(self.waiting)
        allowed = key in self.running or ahead < free
        assert self.gate.enter(key) is allowed
        if allowed:
            self.running.add(key)
            self.waiting = [each for each in self.waiting if each != key]
        elif key not in self.waiting:
            self.waiting.append(key)

    @precondition(somebody_runs)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        self._leave(data.draw(st.sampled_from(sorted(self.running))))

    @precondition(somebody_waits)
    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        self._leave(data.draw(st.sampled_from(self.waiting)))

    def _leave(self, key: str) -> None:
        self.running.discard(key)
        self.waiting = [each for each in self.waiting if each != key]
        self.woken.clear()
        self.gate.leave(key)
        # Exactly those for whom there is a slot, the one that waits longest first.
        assert self.woken == self.waiting[: self.most - len(self.running)]

    @invariant()
    def never_too_many(self) -> None:
        assert self.gate._running == self.running
        assert list(self.gate._waiting) == self.waiting
        assert len(self.gate._running) <= self.most

    def teardown(self) -> None:
        """Let all who run leave, and everybody in who is woken: those who wait get in, in their order."""
        due, got_in = list(self.waiting), []
        while self.running:
            self.woken.clear()
            ending = min(self.running)
            self.running.discard(ending)
            self.gate.leave(ending)
            for key in map(str, self.woken):
                assert self.gate.enter(key)
                got_in.append(key)
                self.running.add(key)
        assert [key for key in got_in if key in due][: len(due)] == due[: len(got_in)]


test_the_gate_behaves_as_its_model = Model.TestCase
