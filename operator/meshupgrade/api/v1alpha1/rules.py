"""Rules that several fields of a spec share: CEL with a message, and durations."""

import re
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator
from pydantic.config import JsonDict

DURATION_PATTERN = r"^([0-9]{1,7}h)?([0-9]{1,7}m)?([0-9]{1,7}s)?$"


def cel(rule: str, message: str) -> JsonDict:
    """Give the schema extension for one CEL rule of the CRD, with the message that its violation shows."""
    return {"x-kubernetes-validations": [{"rule": rule, "message": message}]}


def duration_rule(field: str, *, least: str = "1s") -> JsonDict:
    """Give the schema extension for a duration of at most a day."""
    return cel(
        f"self != '' && self.matches('{DURATION_PATTERN}') && duration(self) >= duration('{least}')"
        " && duration(self) <= duration('24h')",
        f"{field} must be a duration between {least} and 24h, such as 90s, 5m or 1h30m",
    )


def _as_duration(value: str) -> str:
    parse_duration(value)
    return value


Duration = Annotated[str, AfterValidator(_as_duration)]


def parse_duration(text: str) -> timedelta:
    """Give the length of a duration such as 90s, 5m or 1h30m.

    Raises ValueError when the text is no such duration, or is zero.
    """
    match = re.fullmatch(r"(?:([0-9]{1,7})h)?(?:([0-9]{1,7})m)?(?:([0-9]{1,7})s)?", text)
    if match is None or not text:
        raise ValueError(f"{text!r} is no duration such as 90s, 5m or 1h30m")
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    length = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    if not length:
        raise ValueError(f"{text!r} is no time at all; give a duration such as 5m")
    return length
