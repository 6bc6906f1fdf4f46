"""The writer of status: its conditions and findings, before anything is written."""

from datetime import UTC, datetime
from typing import cast

import pytest

from meshupgrade.api.v1alpha1.conditions import Condition, ConditionType, Reason
from meshupgrade.api.v1alpha1.findings import Finding, FindingName, Severity
from meshupgrade.api.v1alpha1.status import MAX_FINDINGS, MeshUpgradeStatus, Phase
from meshupgrade.domain.state import TABLE, State
from meshupgrade.engine.status import StatusWriter, heaviest_first, now, read_status
from meshupgrade.kube.client import Kube
from tests.unit.engine.examples import mesh_upgrade

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def writer(*conditions: Condition, phase: Phase | None = None) -> StatusWriter:
    status = MeshUpgradeStatus(conditions=list(conditions), phase=phase)
    obj = mesh_upgrade(status=status.model_dump(mode="json", by_alias=True, exclude_none=True))
    # Nothing here is written, so there need not be a client.
    return StatusWriter(cast("Kube", None), obj)


def condition(kind: ConditionType, status: str, *, reason: str = "Old", generation: int = 1) -> Condition:
    return Condition.model_validate(
        {
            "type": kind,
            "status": status,
            "reason": reason,
            "message": "old",
            "observedGeneration": generation,
            "lastTransitionTime": LONG_AGO,
        }
    )


def finding(severity: Severity, number: int = 0) -> Finding:
    return Finding(name=FindingName.OBJECT_REJECTED, severity=severity, phase=Phase.PREFLIGHT, message=str(number))


@pytest.mark.parametrize("before", ["True", "False", "Unknown"])
@pytest.mark.parametrize("after", ["True", "False", "Unknown"])
def test_the_transition_time_moves_with_the_status_and_only_with_it(before: str, after: str) -> None:
    status = writer(condition(ConditionType.READY, before))
    status.condition(ConditionType.READY, after, Reason.PROGRESSING, "new")  # type: ignore[arg-type]
    changed = status.get(ConditionType.READY)
    assert changed is not None
    assert (changed.last_transition_time == LONG_AGO) == (before == after)
    # All else is always of now.
    assert (changed.status, changed.reason, changed.message) == (after, "Progressing", "new")
    assert changed.observed_generation == 3


def test_a_new_condition_has_a_time_in_whole_seconds() -> None:
    status = writer()
    status.condition(ConditionType.AVAILABLE, "True", Reason.HEALTHY, "well")
    (new,) = status.status.conditions
    assert new.last_transition_time > LONG_AGO
    assert (new.last_transition_time.microsecond, new.last_transition_time.tzinfo) == (0, UTC)
    assert now().microsecond == 0


def test_there_is_one_condition_of_a_type_and_their_order_is_fixed() -> None:
    status = writer()
    for kind in reversed(ConditionType):
        status.condition(kind, "False", Reason.PENDING, "once")
        status.condition(kind, "True", Reason.DONE, "twice")
    assert [item.type for item in status.status.conditions] == list(ConditionType)


def test_dropping_takes_only_what_is_named() -> None:
    status = writer(condition(ConditionType.READY, "True"), condition(ConditionType.STALLED, "True"))
    status.drop(ConditionType.STALLED, ConditionType.RECONCILING)
    assert [item.type for item in status.status.conditions] == [ConditionType.READY]


def test_a_message_is_cut_to_its_bound() -> None:
    status = writer()
    status.condition(ConditionType.READY, "False", Reason.PENDING, "x" * 9000)
    shown = status.get(ConditionType.READY)
    assert shown is not None
    assert len(shown.message) == 4096


@pytest.mark.parametrize("before", State)
@pytest.mark.parametrize("after", State)
def test_a_state_shows_what_the_table_says_whatever_was_before(before: State, after: State) -> None:
    status = writer(phase=Phase.CRDS)
    status.show(before, "before", FindingName.DOWNGRADE)
    phase = status.status.phase
    status.show(after, "after", FindingName.DOWNGRADE)
    shown = TABLE[after]
    ready = status.get(ConditionType.READY)
    assert ready is not None
    assert (ready.status, ready.message) == (shown.ready, "after")
    assert ready.reason == (shown.reason or FindingName.DOWNGRADE)
    for kind, present in ((ConditionType.RECONCILING, shown.reconciling), (ConditionType.STALLED, shown.stalled)):
        found = status.get(kind)
        assert (found is not None) == present
        if found is not None:
            assert (found.status, found.reason, found.message) == ("True", ready.reason, "after")
    assert status.status.phase == (shown.phase or phase)


def test_findings_that_block_come_first_so_that_the_bound_never_hides_them() -> None:
    status = writer()
    many = [finding(Severity.INFO, number) for number in range(MAX_FINDINGS + 20)]
    status.findings([*many, finding(Severity.WARNING), finding(Severity.RISK), finding(Severity.ERROR)])
    kept = status.status.findings
    assert len(kept) == MAX_FINDINGS
    assert [item.severity for item in kept[:4]] == [Severity.ERROR, Severity.RISK, Severity.WARNING, Severity.INFO]
    assert [item.message for item in kept[3:]] == [str(number) for number in range(MAX_FINDINGS - 3)]


def test_all_findings_together_are_bounded() -> None:
    status = writer()
    long = [finding(Severity.INFO).model_copy(update={"message": "x" * 2000}) for _ in range(40)]
    status.findings([*long, finding(Severity.ERROR)])
    assert status.status.findings[0].severity is Severity.ERROR
    assert 8 < len(status.status.findings) < 13


def test_within_a_severity_findings_stay_in_their_order() -> None:
    found = [
        finding(Severity.RISK, 1),
        finding(Severity.ERROR, 2),
        finding(Severity.RISK, 3),
        finding(Severity.ERROR, 4),
    ]
    assert [item.message for item in heaviest_first(found)] == ["2", "4", "1", "3"]


def test_a_status_that_nobody_can_read_is_made_anew(caplog: pytest.LogCaptureFixture) -> None:
    assert read_status(mesh_upgrade(status={"phase": "OfAnotherRelease"})) == MeshUpgradeStatus()
    assert "not readable" in caplog.text


def test_no_status_is_an_empty_one() -> None:
    assert read_status(mesh_upgrade()) == MeshUpgradeStatus()


def test_fields_are_set_by_name_and_the_rest_stays() -> None:
    status = writer(phase=Phase.CRDS)
    status.update(current_version="1.2.2")
    assert (status.status.current_version, status.status.phase) == ("1.2.2", Phase.CRDS)
