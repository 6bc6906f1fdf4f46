"""The table of states: complete, as kstatus wants it, and the same in the docs."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshupgrade.domain.state import TABLE, Shown, State, after_failure, backoff

PAGE = Path(__file__).parents[3] / "docs" / "states.md"
HEADER = "| State | Ready | Reconciling | Stalled | Phase | Reason |"


def test_every_state_is_in_the_table() -> None:
    assert set(TABLE) == set(State)


@pytest.mark.parametrize("state", State)
def test_reconciling_and_stalled_are_never_both(state: State) -> None:
    assert not (TABLE[state].reconciling and TABLE[state].stalled)


@pytest.mark.parametrize("state", State)
def test_ready_is_true_for_completed_and_nothing_else(state: State) -> None:
    assert (TABLE[state].ready == "True") == (state is State.COMPLETED)


@pytest.mark.parametrize("state", State)
def test_a_state_that_is_not_ready_says_whether_it_goes_on_or_is_stuck(state: State) -> None:
    shown = TABLE[state]
    # What the spec itself asks to leave alone neither goes on nor is stuck.
    left_alone = state in (State.SUSPENDED, State.PLANNED)
    assert (shown.reconciling or shown.stalled) == (shown.ready != "True" and not left_alone)


@pytest.mark.parametrize("state", [State.AWAITING_APPROVAL, State.OUTSIDE_WINDOW, State.SUSPENDED, State.PLANNED])
def test_waiting_for_a_person_or_a_window_never_looks_failed(state: State) -> None:
    assert (TABLE[state].ready, TABLE[state].stalled) == ("Unknown", False)


@pytest.mark.parametrize("state", State)
def test_only_a_refusal_takes_its_reason_from_a_finding(state: State) -> None:
    assert (TABLE[state].reason is None) == (state is State.REFUSED)


def cells(state: State, shown: Shown) -> list[str]:
    return [
        state.value,
        shown.ready,
        "True" if shown.reconciling else "–",
        "True" if shown.stalled else "–",
        shown.phase.value if shown.phase is not None else "the phase that runs",
        shown.reason.value if shown.reason is not None else "name of the first finding",
    ]


def test_the_docs_show_the_same_table() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    assert lines.count(HEADER) == 1
    begin = lines.index(HEADER)
    assert re.fullmatch(r"\|( *:?-+:? *\|){6}", lines[begin + 1])
    rows = []
    for line in lines[begin + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip().strip("`") for cell in line.strip("|").split("|")])
    assert sorted(rows) == sorted(cells(state, shown) for state, shown in TABLE.items())


@pytest.mark.parametrize(
    ("failures", "seconds"),
    [(0, 5), (1, 5), (2, 10), (3, 20), (4, 40), (5, 80), (6, 160), (7, 300), (8, 300), (10**9, 300)],
)
def test_pauses_double_up_to_a_bound(failures: int, seconds: float) -> None:
    assert backoff(failures) == seconds


@given(st.integers(0, 40), st.floats(0.1, 10), st.floats(10, 1000))
def test_pauses_never_shrink_nor_leave_their_bounds(failures: int, first: float, most: float) -> None:
    pause = backoff(failures, first=first, most=most)
    assert first <= pause <= most
    assert pause <= backoff(failures + 1, first=first, most=most)


@pytest.mark.parametrize(
    ("failed_attempts", "retries", "state"),
    [
        (1, 0, State.FAILED),
        (1, 1, State.RETRYING),
        (2, 1, State.FAILED),
        (1, 2, State.RETRYING),
        (2, 2, State.RETRYING),
        (3, 2, State.FAILED),
        (4, 2, State.FAILED),
        (0, 0, State.RETRYING),
    ],
)
def test_the_budget_is_one_attempt_and_the_retries(failed_attempts: int, retries: int, state: State) -> None:
    assert after_failure(failed_attempts, retries) is state
