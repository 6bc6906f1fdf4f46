"""Waves: never too large, none forgotten, none twice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshupgrade.domain.waves import count_waves, next_wave, wave_size, waves_over

KEYS = st.lists(st.integers(0, 60), unique=True, max_size=40)
SIZES = st.integers(1, 12)
BUDGETS = st.dictionaries(st.integers(0, 60), st.lists(st.sampled_from("abc"), unique=True, max_size=2))
ALLOWED = st.fixed_dictionaries({name: st.integers(0, 5) for name in "abc"})


@pytest.mark.parametrize(
    ("limit", "workloads", "size"),
    [
        (3, 100, 3),
        (3, 1, 3),
        ("25%", 100, 25),
        ("25%", 7, 1),
        ("25%", 3, 1),
        ("25%", 0, 1),
        ("100%", 9, 9),
        ("1%", 99, 1),
    ],
)
def test_how_large_a_wave_is(limit: int | str, workloads: int, size: int) -> None:
    assert wave_size(limit, workloads) == size


@pytest.mark.parametrize(
    ("stages", "size", "waves"), [([0, 0], 5, 0), ([1, 10], 5, 3), ([6, 4], 5, 3), ([0, 10], 5, 2), ([120], 10, 12)]
)
def test_how_many_waves_it_takes(stages: list[int], size: int, waves: int) -> None:
    assert count_waves(stages, size) == waves


@pytest.mark.parametrize(
    ("wave", "waves", "left", "in_flight", "over"),
    [
        (0, 0, 6, False, 0),
        (3, 6, 3, False, 3),
        (6, 6, 0, False, 6),
        # Interrupted: with workloads under way, and before the first was touched.
        (4, 6, 3, True, 3),
        (4, 6, 3, False, 3),
        (1, 6, 6, False, 0),
        (0, 0, 1, True, 0),
    ],
)
def test_which_waves_are_over_on_resume(wave: int, waves: int, left: int, in_flight: bool, over: int) -> None:
    assert waves_over(wave, waves, left, in_flight=in_flight) == over


@given(due=KEYS, size=SIZES, data=st.data())
def test_those_in_flight_count_and_none_is_too_much(due: list[int], size: int, data: st.DataObject) -> None:
    in_flight = data.draw(st.sets(st.sampled_from(due or [0])))
    blocked = data.draw(st.sets(st.integers(0, 60)))
    wave = next_wave(due, in_flight, size, blocked=blocked)
    flying = in_flight & set(due)
    assert len(wave) == len(set(wave))
    assert flying <= set(wave) <= set(due)
    assert len(wave) <= max(size, len(flying))
    assert not (set(wave) - flying) & blocked
    others = [key for key in due if key not in flying and key not in blocked]
    started = [key for key in wave if key not in flying]
    assert started == others[: max(0, size - len(flying))], "in their order, and as many as there is room for"


@given(due=KEYS, size=SIZES)
def test_wave_after_wave_each_is_in_exactly_one(due: list[int], size: int) -> None:
    left, done = list(due), list[int]()
    while left:
        wave = next_wave(left, (), size)
        assert 0 < len(wave) <= size
        done += wave
        left = [key for key in left if key not in wave]
    assert done == due
    assert count_waves([len(due)], size) * size >= len(due)


@given(due=KEYS, size=SIZES, budgets=BUDGETS, allowed=ALLOWED, data=st.data())
def test_a_budget_is_never_overdrawn(
    due: list[int], size: int, budgets: dict[int, list[str]], allowed: dict[str, int], data: st.DataObject
) -> None:
    in_flight = data.draw(st.sets(st.sampled_from(due or [0])))
    wave = next_wave(due, in_flight, size, budgets=budgets, allowed=allowed)
    flying = in_flight & set(due)
    for name, left in allowed.items():
        taken = [key for key in wave if name in budgets.get(key, ())]
        assert len(taken) <= max(left, len(flying & set(taken)))
    if len(wave) < size:
        for key in set(due) - set(wave):
            spent = [
                name
                for name in budgets.get(key, ())
                if sum(name in budgets.get(other, ()) for other in wave) >= allowed[name]
            ]
            assert spent, f"{key} could have been in it"


def test_a_budget_of_which_nothing_is_known_allows_nothing() -> None:
    assert next_wave(["a", "b"], (), 2, budgets={"a": ["x"]}) == ["b"]
