"""Which findings are told by events, and how."""

import pytest

from meshupgrade.api.v1alpha1.findings import Finding, FindingName, Severity
from meshupgrade.engine.report import finding_events


def finding(severity: Severity, name: FindingName = FindingName.IMMUTABLE_FIELD_CHANGED) -> Finding:
    return Finding(
        name=name, severity=severity, phase="Preflight", message="the token hunter2 is bad", remedy="Fix it."
    )


@pytest.mark.parametrize(
    ("severity", "accepted", "warning"),
    [
        (Severity.ERROR, frozenset[str](), True),
        (Severity.RISK, frozenset[str](), True),
        (Severity.RISK, frozenset({"ImmutableFieldChanged"}), False),
        (Severity.WARNING, frozenset({"Prerelease"}), True),
    ],
)
def test_what_a_person_has_to_look_at_warns(severity: Severity, accepted: frozenset[str], warning: bool) -> None:
    (event,) = finding_events([finding(severity)], accepted, lambda text: text.replace("hunter2", "***"))
    assert (event.reason, event.warning) == ("ImmutableFieldChanged", warning)
    assert event.note == "the token *** is bad. Fix it."


def test_what_only_tells_is_no_event() -> None:
    assert finding_events([finding(Severity.INFO)], frozenset(), str) == []
