"""The states of a MeshUpgrade and what each shows: the table in docs/states.md, as code."""

from dataclasses import dataclass
from enum import StrEnum

from meshupgrade.api.v1alpha1.conditions import ConditionStatus, Reason
from meshupgrade.api.v1alpha1.status import Phase


class State(StrEnum):
    """Where a MeshUpgrade as a whole is."""

    RUNNING = "Running"
    COMPLETED = "Completed"
    REFUSED = "Refused"
    RETRYING = "Retrying"
    AWAITING_APPROVAL = "AwaitingApproval"
    OUTSIDE_WINDOW = "OutsideWindow"
    SUSPENDED = "Suspended"
    PLANNED = "Planned"
    ROLLING_BACK = "RollingBack"
    ROLLED_BACK = "RolledBack"
    ROLLBACK_FAILED = "RollbackFailed"
    FAILED = "Failed"
    INVALID = "Invalid"
    DUPLICATE = "Duplicate"


@dataclass(frozen=True)
class Shown:
    """What the standard conditions say in a state. Reconciling and Stalled are present only while True, never both."""

    ready: ConditionStatus
    reconciling: bool
    stalled: bool
    phase: Phase | None
    """The phase to show; None leaves the phase that runs."""

    reason: Reason | None
    """The reason of Ready; None for a refusal, which takes the name of its first blocking finding."""


TABLE: dict[State, Shown] = {
    State.RUNNING: Shown("Unknown", reconciling=True, stalled=False, phase=None, reason=Reason.PROGRESSING),
    State.COMPLETED: Shown("True", reconciling=False, stalled=False, phase=Phase.COMPLETED, reason=Reason.SUCCEEDED),
    State.REFUSED: Shown("False", reconciling=False, stalled=True, phase=Phase.REFUSED, reason=None),
    State.RETRYING: Shown("False", reconciling=True, stalled=False, phase=Phase.RETRYING, reason=Reason.RETRYING),
    State.AWAITING_APPROVAL: Shown(
        "Unknown", reconciling=True, stalled=False, phase=Phase.AWAITING_APPROVAL, reason=Reason.AWAITING_APPROVAL
    ),
    State.OUTSIDE_WINDOW: Shown(
        "Unknown", reconciling=True, stalled=False, phase=Phase.OUTSIDE_WINDOW, reason=Reason.OUTSIDE_WINDOW
    ),
    State.SUSPENDED: Shown("Unknown", reconciling=False, stalled=False, phase=Phase.SUSPENDED, reason=Reason.SUSPENDED),
    State.PLANNED: Shown("Unknown", reconciling=False, stalled=False, phase=Phase.PLANNED, reason=Reason.PLANNED),
    State.ROLLING_BACK: Shown(
        "False", reconciling=True, stalled=False, phase=Phase.ROLLING_BACK, reason=Reason.ROLLING_BACK
    ),
    State.ROLLED_BACK: Shown(
        "False", reconciling=False, stalled=True, phase=Phase.ROLLED_BACK, reason=Reason.ROLLED_BACK
    ),
    State.ROLLBACK_FAILED: Shown(
        "False", reconciling=False, stalled=True, phase=Phase.FAILED, reason=Reason.ROLLBACK_FAILED
    ),
    State.FAILED: Shown("False", reconciling=False, stalled=True, phase=Phase.FAILED, reason=Reason.ATTEMPTS_EXHAUSTED),
    State.INVALID: Shown("False", reconciling=False, stalled=True, phase=Phase.INVALID, reason=Reason.INVALID_SPEC),
    State.DUPLICATE: Shown("False", reconciling=False, stalled=True, phase=Phase.DUPLICATE, reason=Reason.DUPLICATE),
}


def after_failure(failed_attempts: int, retries: int) -> State:
    """Give the state after that many failed attempts; the budget is one attempt and the retries."""
    return State.FAILED if failed_attempts > retries else State.RETRYING


def backoff(failures: int, *, first: float = 5.0, most: float = 300.0) -> float:
    """Give the seconds to wait after that many failures in a row: doubling, bounded."""
    return float(min(most, first * 2 ** min(max(failures, 1) - 1, 16)))
