"""What condition Drifted says of the objects that are not as their release asks for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from meshupgrade.api.v1alpha1.conditions import ConditionStatus, Reason
from meshupgrade.domain.drift import DriftedField

__all__ = ["Drift", "Told", "tell"]

MOST_TOLD = 10
"""Fields and objects that a message names; of more it tells the number."""


@dataclass(frozen=True)
class Drift:
    """One object that is not as its release asks for, or that could not be compared."""

    object: str
    """Its kind, namespace and name."""

    manifest: Mapping[str, Any] = field(repr=False, compare=False)
    """The object as the release has it."""

    fields: tuple[DriftedField, ...] = ()
    missing: bool = False
    error: str = ""
    """Why it could not be compared, or not be put back."""

    @property
    def certain(self) -> bool:
        """Whether it is known to differ."""
        return self.missing or bool(self.fields)


@dataclass(frozen=True)
class Told:
    """What condition Drifted says."""

    status: ConditionStatus
    reason: Reason
    message: str


def tell(drifts: Sequence[Drift], put_back: Sequence[Drift] = (), note: str = "") -> Told | None:
    """Give what to say of the drift that there is, and of what was put back; None when there is nothing to say.

    ``note`` says what becomes of what has drifted.
    """
    certain = [drift for drift in drifts if drift.certain]
    unknown = [drift for drift in drifts if not drift.certain]
    parts = []
    if certain:
        parts.append(f"not as the release says: {_enumerate(certain)}{note}")
    if put_back:
        parts.append(f"put back as the release says: {_enumerate(put_back)}")
    if unknown:
        parts.append(f"could not be compared: {_enumerate(unknown)}")
    if not parts:
        return None
    message = ". ".join(parts)
    if certain:
        return Told("True", Reason.DRIFTED, message)
    if unknown:
        return Told("Unknown", Reason.NOT_OBSERVED, message)
    return Told("False", Reason.CORRECTED, message)


def _enumerate(drifts: Sequence[Drift]) -> str:
    """Name what has drifted, object by object, up to a bound."""
    told, room = [], MOST_TOLD
    for drift in drifts:
        if room <= 0:
            break
        told.append(_told(drift, room))
        room -= _places(drift)
    left = sum(map(_places, drifts)) - MOST_TOLD
    return "; ".join(told) + (f" and {left} more" if left > 0 else "")


def _told(drift: Drift, room: int) -> str:
    what = ", ".join(str(field) for field in drift.fields[:room])
    why = f" ({drift.error})" if drift.error else ""
    return f"{drift.object}{f': {what}' if what else ' is missing' if drift.missing else ''}{why}"


def _places(drift: Drift) -> int:
    return max(1, len(drift.fields))
