"""status.history: one entry an upgrade, the newest first."""

from datetime import UTC, datetime
from typing import Any

import pytest

from meshupgrade.api.v1alpha1.status import MAX_HISTORY, HistoryEntry, HistoryState
from meshupgrade.engine.history import begin, change_newest, reopen, under_way, with_duration

BEFORE, NOW = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 2, tzinfo=UTC)


def entry(version: str, state: HistoryState, **fields: Any) -> HistoryEntry:
    return HistoryEntry.model_validate(
        {"version": version, "from": "1.0.0", "state": state, "started_time": BEFORE, **fields}
    )


PARTIAL = entry("1.1.0", HistoryState.PARTIAL)
COMPLETED = entry("1.1.0", HistoryState.COMPLETED, completion_time=BEFORE)
FAILED = entry("1.1.0", HistoryState.FAILED, completion_time=BEFORE)


@pytest.mark.parametrize(
    ("history", "version", "expected"),
    [
        ([], "1.1.0", False),
        ([PARTIAL], "1.1.0", True),
        ([PARTIAL], "1.2.0", False),
        ([COMPLETED], "1.1.0", False),
        ([FAILED], "1.1.0", False),
        ([COMPLETED, PARTIAL], "1.1.0", False),
    ],
)
def test_which_upgrade_is_under_way(history: list[HistoryEntry], version: str, expected: bool) -> None:
    assert under_way(history, version) is expected


def test_an_upgrade_begins_at_the_top() -> None:
    newest, *older = begin([COMPLETED], "1.2.0", from_="1.1.0", started_time=NOW)
    assert (newest.version, newest.from_, newest.state, newest.started_time) == (
        "1.2.0", "1.1.0", HistoryState.PARTIAL, NOW,
    )  # fmt: skip
    assert newest.completion_time is None
    assert older == [COMPLETED]


def test_one_that_is_under_way_goes_on_after_a_crash() -> None:
    assert begin([PARTIAL, COMPLETED], "1.1.0", from_="1.0.9", started_time=NOW) == [PARTIAL, COMPLETED]


def test_one_that_failed_begins_anew() -> None:
    history = begin([FAILED], "1.1.0", from_="1.0.0", started_time=NOW)
    assert [item.state for item in history] == [HistoryState.PARTIAL, HistoryState.FAILED]


def test_one_that_is_overtaken_ends_and_stays_partial() -> None:
    history = begin([PARTIAL], "1.2.0", from_="1.0.0", started_time=NOW)
    assert history[1] == PARTIAL.model_copy(update={"completion_time": NOW})


def test_one_that_ended_keeps_its_end() -> None:
    overtaken = entry("1.1.0", HistoryState.PARTIAL, completion_time=BEFORE)
    assert begin([overtaken], "1.2.0", from_="1.0.0", started_time=NOW)[1] == overtaken
    assert begin([FAILED], "1.2.0", from_="1.0.0", started_time=NOW)[1] == FAILED


def test_one_that_failed_is_under_way_again_when_it_goes_on() -> None:
    reopened = reopen([FAILED, COMPLETED], "1.1.0")
    assert reopened == [FAILED.model_copy(update={"state": HistoryState.PARTIAL, "completion_time": None}), COMPLETED]
    assert under_way(reopened, "1.1.0")


@pytest.mark.parametrize(
    "history",
    [[], [PARTIAL], [COMPLETED], [COMPLETED, FAILED], [entry("1.2.0", HistoryState.FAILED, completion_time=BEFORE)]],
)
def test_any_other_history_stays_as_it_is(history: list[HistoryEntry]) -> None:
    assert reopen(history, "1.1.0") == history


def test_it_is_bounded_and_loses_the_oldest() -> None:
    old = [entry(f"1.0.{number}", HistoryState.COMPLETED) for number in range(MAX_HISTORY, 0, -1)]
    history = begin(old, "1.2.0", from_="1.0.10", started_time=NOW)
    assert len(history) == MAX_HISTORY
    assert history[0].version == "1.2.0"
    assert history[1:] == old[:-1]


def test_only_the_newest_is_changed() -> None:
    history = [PARTIAL, COMPLETED]
    changed = change_newest(history, revision=7, verified=True)
    assert (changed[0].revision, changed[0].verified, changed[0].version) == (7, True, "1.1.0")
    assert changed[1:] == [COMPLETED]
    assert history == [PARTIAL, COMPLETED]
    assert change_newest([], revision=7) == []


def test_durations_of_phases() -> None:
    history = with_duration([PARTIAL, COMPLETED], "CRDs", 1.2345)
    history = with_duration(history, "ControlPlane", 9.0)
    # A second attempt.
    history = with_duration(history, "CRDs", 2.0)
    assert [(item.name, item.seconds) for item in history[0].phases] == [("ControlPlane", 9.0), ("CRDs", 2.0)]
    assert history[1] == COMPLETED
    assert with_duration([PARTIAL], "CRDs", 1.2345)[0].phases[0].seconds == 1.23
    assert with_duration([], "CRDs", 1.0) == []
