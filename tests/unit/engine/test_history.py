"""status.history: one entry an attempt, the newest first."""

from datetime import UTC, datetime
from typing import Any

import pytest

from meshupgrade.api.v1alpha1.status import MAX_HISTORY, HistoryAction, HistoryEntry, HistoryState
from meshupgrade.engine.history import (
    adopt,
    begin,
    change_newest,
    half_way,
    last_verified,
    rolled_back,
    under_way,
    with_duration,
)

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
    newest, *older = begin([COMPLETED], "1.2.0", from_="1.1.0", started_time=NOW, input_digest="")
    assert (newest.version, newest.from_, newest.state, newest.started_time) == (
        "1.2.0", "1.1.0", HistoryState.PARTIAL, NOW,
    )  # fmt: skip
    assert newest.completion_time is None
    assert older == [COMPLETED]


def test_one_that_is_under_way_goes_on_after_a_crash() -> None:
    assert begin([PARTIAL, COMPLETED], "1.1.0", from_="1.0.9", started_time=NOW, input_digest="") == [
        PARTIAL,
        COMPLETED,
    ]


def test_one_that_failed_begins_anew() -> None:
    history = begin([FAILED], "1.1.0", from_="1.0.0", started_time=NOW, input_digest="")
    assert [item.state for item in history] == [HistoryState.PARTIAL, HistoryState.FAILED]


def test_one_that_is_overtaken_ends_and_stays_partial() -> None:
    history = begin([PARTIAL], "1.2.0", from_="1.0.0", started_time=NOW, input_digest="")
    assert history[1] == PARTIAL.model_copy(update={"completion_time": NOW})


def test_one_that_ended_keeps_its_end() -> None:
    overtaken = entry("1.1.0", HistoryState.PARTIAL, completion_time=BEFORE)
    assert begin([overtaken], "1.2.0", from_="1.0.0", started_time=NOW, input_digest="")[1] == overtaken
    assert begin([FAILED], "1.2.0", from_="1.0.0", started_time=NOW, input_digest="")[1] == FAILED


@pytest.mark.parametrize(
    ("history", "digest", "expected"),
    [
        ([], "sha256:a", False),
        ([PARTIAL], "sha256:b", True),
        ([FAILED.model_copy(update={"input_digest": "sha256:a"})], "sha256:a", True),
        ([FAILED.model_copy(update={"input_digest": "sha256:a"})], "sha256:b", False),
        ([COMPLETED.model_copy(update={"input_digest": "sha256:a"})], "sha256:a", False),
    ],
)
def test_whether_the_mesh_may_be_between_two_versions(history: list[HistoryEntry], digest: str, expected: bool) -> None:
    assert half_way(history, "1.1.0", digest) is expected


def test_a_further_attempt_comes_from_where_the_first_one_came() -> None:
    failed = FAILED.model_copy(update={"input_digest": "sha256:a", "from_": "0.9.0"})
    newest, *older = begin([failed], "1.1.0", from_="1.1.0", started_time=NOW, input_digest="sha256:a")
    assert (newest.from_, newest.state) == ("0.9.0", HistoryState.PARTIAL)
    assert older == [failed]


def test_a_release_of_others_is_adopted_once() -> None:
    adopted = adopt([], "1.0.0", 3, NOW)
    assert [(item.action, item.revision, item.verified) for item in adopted] == [(HistoryAction.ADOPT, 3, True)]
    assert adopt(adopted, "1.0.0", 3, NOW) == adopted
    assert len(adopt(adopted, "1.0.0", 4, NOW)) == 2


def test_a_rollback_is_an_entry_and_marks_the_attempt() -> None:
    newest, attempt = rolled_back([FAILED], "1.0.0", 7, began=BEFORE, ended=NOW)
    assert (newest.action, newest.version, newest.from_, newest.revision) == (
        HistoryAction.ROLLBACK,
        "1.0.0",
        "1.1.0",
        7,
    )
    assert newest.verified
    assert attempt.state is HistoryState.ROLLED_BACK


@pytest.mark.parametrize(("stored", "expected"), [({1, 2, 3}, 3), ({1, 2}, 1), ({2}, None), (set(), None)])
def test_the_last_verified_revision_is_one_that_helm_still_has(stored: set[int], expected: int | None) -> None:
    history = [
        entry("1.2.0", HistoryState.FAILED, revision=4),
        entry("1.1.0", HistoryState.COMPLETED, revision=3, verified=True),
        entry("1.1.0", HistoryState.FAILED, revision=2),
        entry("1.0.0", HistoryState.COMPLETED, revision=1, verified=True),
    ]
    found = last_verified(history, stored)
    assert (found.revision if found else None) == expected


def test_the_bound_never_takes_the_last_verified_one() -> None:
    history: list[HistoryEntry] = adopt([], "1.0.0", 1, BEFORE)
    for number in range(MAX_HISTORY + 5):
        history = begin(history, f"1.1.{number}", from_="1.0.0", started_time=NOW, input_digest="sha256:a")
        history = change_newest(history, state=HistoryState.FAILED)
    assert len(history) == MAX_HISTORY
    assert last_verified(history, {1}) == history[-1]


def test_a_long_message_is_cut() -> None:
    assert len(change_newest([FAILED], message="x" * 5000)[0].message) == 1024


def test_it_is_bounded_and_loses_the_oldest() -> None:
    old = [entry(f"1.0.{number}", HistoryState.COMPLETED) for number in range(MAX_HISTORY, 0, -1)]
    history = begin(old, "1.2.0", from_="1.0.10", started_time=NOW, input_digest="")
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
