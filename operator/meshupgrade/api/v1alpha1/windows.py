"""spec.upgrade.windows: when an upgrade may begin, and go on at its safe points."""

from collections.abc import Sequence
from enum import StrEnum
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator

from meshupgrade.api.v1alpha1.base import ApiModel

__all__ = ["CLOCK_PATTERN", "TIME_ZONE_PATTERN", "Day", "MaintenanceWindow"]

CLOCK_PATTERN = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"

TIME_ZONE_PATTERN = r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$"
"""The form of the names in the IANA time zone database, which knows no dots: nothing like ../ gets through."""


class Day(StrEnum):
    """A day of the week; Monday is the first."""

    MON = "Mon"
    TUE = "Tue"
    WED = "Wed"
    THU = "Thu"
    FRI = "Fri"
    SAT = "Sat"
    SUN = "Sun"


class MaintenanceWindow(ApiModel):
    """A stretch of some days of the week in which an upgrade may begin, and go on at its safe points."""

    days: list[Day] = Field(
        default_factory=lambda: list(Day),
        description="The days on which the window starts; over midnight it goes on into the next day. Default: all.",
        min_length=1,
        max_length=len(Day),
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
    start: str = Field(
        description="When it opens, as HH:MM, from 00:00 to 23:59, by the clock of the time zone.",
        max_length=5,
        pattern=CLOCK_PATTERN,
    )
    end: str = Field(
        description=(
            "When it closes, as start. Before the start: on the next day. The same as the start: a whole day, to that "
            "time on the next day."
        ),
        max_length=5,
        pattern=CLOCK_PATTERN,
    )
    time_zone: str = Field(
        default="UTC",
        description="Time zone of the IANA database, such as Europe/Berlin; its clock changes are followed.",
        min_length=1,
        max_length=64,
        pattern=TIME_ZONE_PATTERN,
        # An unknown name makes the function fail, which refuses the object. The API server has the database built in:
        # it checks the time zones of CronJobs (cmd/kube-apiserver/apiserver.go imports time/tzdata).
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "timestamp('2020-01-01T00:00:00Z').getHours(self) >= 0",
                    "message": "timeZone must be a name of the IANA time zone database, such as Europe/Berlin or UTC",
                }
            ]
        },
    )

    @field_validator("days")
    @classmethod
    def _days_are_unique(cls, value: Sequence[Day]) -> Sequence[Day]:
        if len(set(value)) < len(value):
            raise ValueError("a window's days may name each day once; leave out the second one")
        return value

    @field_validator("time_zone")
    @classmethod
    def _time_zone_is_known(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        # The name of a region alone is a folder of the database, which is an OSError.
        except (LookupError, ValueError, OSError) as error:
            raise ValueError(
                f"{value!r} is no time zone that is known here; give a name of the IANA database, such as "
                "Europe/Berlin or UTC"
            ) from error
        return value
