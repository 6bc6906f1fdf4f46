"""What may be approved, and where a rollback goes."""

from typing import Any

import pytest

from meshupgrade.api.v1alpha1.status import HistoryEntry, HistoryState
from meshupgrade.cli.plugin.decisions import waiting_plan
from meshupgrade.cli.plugin.errors import UserError
from meshupgrade.cli.plugin.rollback_target import rollback_target
from meshupgrade.cli.plugin.upgrades import read
from meshupgrade.domain.state import State
from tests.unit.cli.plugin import examples


def entry(version: str, revision: int | None, *, verified: bool = True) -> HistoryEntry:
    state = HistoryState.COMPLETED if verified else HistoryState.FAILED
    times = {"started_time": examples.AT, "completion_time": examples.AT}
    facts = {"version": version, "from": "0.0.0", "revision": revision, "verified": verified, "state": state}
    return HistoryEntry.model_validate(facts | times)


def target(current: str, *history: HistoryEntry, revision: int | None = None) -> int | None:
    upgrade = examples.upgrade(State.COMPLETED, current_version=current, history=list(history))
    return rollback_target(upgrade, revision).revision


@pytest.mark.parametrize(
    ("current", "history", "expected"),
    [
        ("1.2.0", [entry("1.2.0", 2), entry("1.1.0", 1)], 1),
        ("1.10.0", [entry("1.10.0", 3), entry("1.9.0", 2), entry("1.1.0", 1)], 2),
        # Only values changed in between: the version before is meant.
        ("1.2.0", [entry("1.2.0", 3), entry("1.2.0", 2), entry("1.1.0", 1)], 1),
        # After a rollback there is nothing to go back to but what is older still.
        ("1.1.0", [entry("1.1.0", 3), entry("1.2.0", 2), entry("1.1.0", 1), entry("1.0.0", 0)], 0),
        # A failed one that was left as it is goes back to what was verified last.
        ("1.2.0", [entry("1.2.0", 3, verified=False), entry("1.1.0", 2), entry("1.0.0", 1)], 2),
        ("1.2.0", [entry("1.2.0", 3, verified=False), entry("1.2.0", 2), entry("1.1.0", 1)], 2),
    ],
)
def test_a_rollback_goes_to_the_newest_verified_version_before(
    current: str, history: list[HistoryEntry], expected: int
) -> None:
    assert target(current, *history) == expected


def test_or_to_the_revision_that_is_named() -> None:
    assert target("1.2.0", entry("1.2.0", 3), entry("1.1.0", 2), entry("1.0.0", 1), revision=1) == 1


@pytest.mark.parametrize(
    ("history", "revision", "message"),
    [
        ([], None, "has no verified revision of a version before 1.2.0; verified are: none"),
        ([entry("1.2.0", 1)], None, r"verified are: 1 \(1.2.0\)"),
        ([entry("1.2.0", 2, verified=False)], 2, "revision 2 was never verified; these were: none"),
        ([entry("1.2.0", 2), entry("1.1.0", 1)], 7, r"these were: 2 \(1.2.0\), 1 \(1.1.0\)"),
    ],
)
def test_there_may_be_nowhere_to_go(history: list[HistoryEntry], revision: int | None, message: str) -> None:
    with pytest.raises(UserError, match=message):
        target("1.2.0", *history, revision=revision)


def test_the_plan_that_waits_is_approved() -> None:
    upgrade = examples.upgrade(State.AWAITING_APPROVAL)
    assert waiting_plan(upgrade, None).digest == "sha256:d1"
    assert waiting_plan(upgrade, "sha256:d1").digest == "sha256:d1"


@pytest.mark.parametrize("state", [state for state in State if state is not State.AWAITING_APPROVAL])
def test_in_no_other_state_there_is_anything_to_approve(state: State) -> None:
    with pytest.raises(UserError, match=f"does not wait for approval: it is {state};"):
        waiting_plan(examples.upgrade(state), None)


def test_another_digest_is_not_approved() -> None:
    with pytest.raises(UserError, match="the plan is sha256:d1 by now, and not sha256:d2"):
        waiting_plan(examples.upgrade(State.AWAITING_APPROVAL), "sha256:d2")


@pytest.mark.parametrize("change", [{"generation": 4}, {"generation": 4, "annotations": {"a": "b"}}])
def test_a_plan_for_the_spec_before_is_not_approved(change: dict[str, Any]) -> None:
    obj = examples.live(State.AWAITING_APPROVAL)
    obj["metadata"] |= change
    with pytest.raises(UserError, match="has not taken up generation 4 yet"):
        waiting_plan(read(obj), None)
