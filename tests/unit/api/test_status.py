"""The models of status: what is written is read back, by this release and the next."""

from datetime import UTC, datetime
from typing import Any

import jsonschema
import pytest

from meshupgrade.api.v1alpha1.conditions import Condition, ConditionType, Reason
from meshupgrade.api.v1alpha1.findings import Finding, FindingName, Severity
from meshupgrade.api.v1alpha1.plan import AvailableVersion, PlanSummary
from meshupgrade.api.v1alpha1.schema import structural_schema
from meshupgrade.api.v1alpha1.status import (
    Attempts,
    DataPlaneStatus,
    HelmProcess,
    HistoryEntry,
    HistoryState,
    MeshUpgradeStatus,
    Phase,
    PhaseDuration,
    StorageMigration,
)

AT = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
FROM: dict[str, Any] = {"from": "1.2.2"}
FULL = MeshUpgradeStatus(
    observed_generation=3,
    phase=Phase.CONTROL_PLANE,
    current_version="1.2.2",
    target_version="1.2.3",
    hops=["1.2.3"],
    conditions=[
        Condition(
            type=ConditionType.READY,
            status="Unknown",
            reason=Reason.PROGRESSING,
            message="under way",
            observed_generation=3,
            last_transition_time=AT,
        )
    ],
    available_versions=[AvailableVersion(version="1.2.4", allowed=False, reason="OutOfRange", message="m")],
    plan=PlanSummary(digest="sha256:3", created_at=AT, changes=True, current="1.2.2", hops=["1.2.3"]),
    findings=[Finding(name=FindingName.PRERELEASE, severity=Severity.RISK, phase=Phase.PATH, message="m", remedy="r")],
    attempts=Attempts(input_digest="sha256:0", count=1, message="m", reason=Reason.CRASH_LOOP),
    helm_process=HelmProcess(revision=2, host="h/b", pid=7, started_ticks=8, deadline=AT),
    history=[
        HistoryEntry(
            version="1.2.3",
            **FROM,
            revision=2,
            verified=True,
            chart_digest="sha256:1",
            crd_digest="sha256:2",
            state=HistoryState.PARTIAL,
            started_time=AT,
            completion_time=AT,
            phases=[PhaseDuration(name=Phase.CRDS, seconds=1.5)],
            accepted_risks=["Prerelease"],
        )
    ],
    storage_migration=StorageMigration(crd="a.example", generation=2, continue_token="t", objects=3, finished=4),
    data_plane=DataPlaneStatus(total=3, current=1, outdated=1, unknown=1),
    last_handled_reconcile_at="now",
    last_handled_rollback="3",
    operator_version="0.1.0",
    kubernetes_version="v1.37.2",
)


def written(status: MeshUpgradeStatus) -> dict[str, Any]:
    return status.model_dump(mode="json", by_alias=True, exclude_none=True)


@pytest.mark.parametrize("status", [FULL, MeshUpgradeStatus()])
def test_what_is_written_fits_the_schema_and_is_read_back(status: MeshUpgradeStatus) -> None:
    jsonschema.validate(written(status), structural_schema(MeshUpgradeStatus))
    assert MeshUpgradeStatus.model_validate(written(status)) == status


def test_the_full_example_has_every_field() -> None:
    assert set(written(FULL)) == set(structural_schema(MeshUpgradeStatus)["properties"])
    for name in ("conditions", "findings", "history"):
        schema = structural_schema(MeshUpgradeStatus)["properties"][name]["items"]
        assert set(written(FULL)[name][0]) == set(schema["properties"])


def test_names_on_the_wire() -> None:
    status = written(FULL)
    assert status["history"][0]["from"] == "1.2.2"
    assert status["conditions"][0]["lastTransitionTime"] == "2026-05-04T03:02:01Z"
    assert status["helmProcess"]["startedTicks"] == 8


def test_fields_of_a_newer_operator_are_ignored() -> None:
    assert MeshUpgradeStatus.model_validate(written(FULL) | {"newer": {"a": 1}}) == FULL


@pytest.mark.parametrize(
    ("severity", "name", "accepted", "blocks"),
    [
        (Severity.ERROR, FindingName.DOWNGRADE, [], True),
        (Severity.ERROR, FindingName.DOWNGRADE, ["Downgrade"], True),
        (Severity.RISK, FindingName.BREAKING_CHANGE, [], True),
        (Severity.RISK, FindingName.BREAKING_CHANGE, ["Prerelease"], True),
        (Severity.RISK, FindingName.BREAKING_CHANGE, ["BreakingChange"], False),
        (Severity.WARNING, FindingName.VALUES_DROPPED, [], False),
        (Severity.INFO, FindingName.CRD_WRITTEN_BY_NEWER, [], False),
    ],
)
def test_which_findings_refuse_an_upgrade(
    severity: Severity, name: FindingName, accepted: list[str], blocks: bool
) -> None:
    finding = Finding(name=name, severity=severity, phase=Phase.PATH, message="m")
    assert finding.blocks(frozenset(accepted)) is blocks


def test_no_reason_is_also_the_name_of_a_finding() -> None:
    assert not {str(reason) for reason in Reason} & {str(name) for name in FindingName}


def test_reasons_are_of_the_form_that_kubernetes_asks_for() -> None:
    assert all(text.isalpha() and text[0].isupper() for text in [*Reason, *FindingName, *ConditionType])
