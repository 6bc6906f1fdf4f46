"""What workloads are restarted for, and how far that has come, in words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshupgrade.domain.restarts import is_for, next_value, progress, restart_target, time_left

TARGET = restart_target("1.2.3", "flomesh/pipy:1", "flomesh/init:1")


def test_a_target_is_short_and_of_its_version_and_images_alone() -> None:
    assert restart_target("1.2.3", "flomesh/pipy:1", "flomesh/init:1") == TARGET
    others = {
        restart_target("1.2.4", "flomesh/pipy:1", "flomesh/init:1"),
        restart_target("1.2.3", "flomesh/pipy:2", "flomesh/init:1"),
        restart_target("1.2.3", "flomesh/pipy:1", "flomesh/init:2"),
        restart_target("1.2.3", "flomesh/pipy:1", None),
    }
    assert len(others | {TARGET}) == 5
    assert TARGET.startswith("1.2.3-")
    assert len(TARGET) == len("1.2.3-") + 8


@pytest.mark.parametrize(
    ("suffix", "same"),
    [("", True), (".2", True), (".17", True), (".1", False), (".0", False), (".02", False), ("x", False), (".", False)],
)
def test_which_values_are_for_a_target(suffix: str, same: bool) -> None:
    assert is_for(TARGET + suffix, TARGET) is same


def test_no_value_is_for_no_target() -> None:
    assert not is_for("", TARGET)
    assert not is_for(TARGET[:-1], TARGET)


@given(before=st.sampled_from(["", "other", "1.2.2-00000000.2"]), again=st.integers(1, 30))
def test_each_restart_has_a_value_of_its_own(before: str, again: int) -> None:
    seen = [before]
    for _ in range(again):
        seen.append(next_value(seen[-1], TARGET))
    assert seen[1] == TARGET
    assert len(set(seen)) == len(seen)
    assert all(is_for(value, TARGET) for value in seen[1:])


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1 s"), (4.4, "4 s"), (12, "10 s"), (38, "40 s"), (89, "90 s"), (91, "2 min"), (350, "6 min"),
        (3570, "1 h"), (7500, "2 h 5 min"),
    ],
)  # fmt: skip
def test_the_time_that_is_left(seconds: float, text: str) -> None:
    assert time_left(seconds) == text


def test_progress() -> None:
    assert progress(37, 120, 4, 13, 350) == "37 of 120 workloads, wave 4 of 13, about 6 min left"
    assert progress(0, 120, 1, 13, None) == "0 of 120 workloads, wave 1 of 13"
