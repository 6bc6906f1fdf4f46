"""When maintenance windows are open.

Start and end are what a clock on the wall of the window's time zone shows. A clock that is changed skips some times
and shows others twice:

- A start that is skipped is the moment of the change, and so is an end. A window wholly inside what is skipped does not
  open that day.
- A start that comes twice is the first one, an end that comes twice the second one: no window is shorter than it says.

The rule is ours; the instants are those of PEP 495 (https://peps.python.org/pep-0495/), by which `fold` tells the first
of two from the second.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

from meshupgrade.api.v1alpha1.windows import Day, MaintenanceWindow

__all__ = ["closes_at", "is_open", "next_opening"]

DAYS = tuple(Day)

HORIZON = timedelta(weeks=5)
"""How far ahead is looked: what comes every week comes within one, or within two or three where changes of clocks
hide it."""

Stretch = tuple[datetime, datetime]


def is_open(windows: Sequence[MaintenanceWindow], at: datetime) -> bool:
    """Tell whether one of the windows is open at an aware time; without windows it always is.

    The start belongs to a window, its end does not.
    """
    return not windows or any(opens <= at < closes for opens, closes in _stretches(windows, at, timedelta(days=1)))


def next_opening(windows: Sequence[MaintenanceWindow], after: datetime) -> datetime | None:
    """Give the first time from an aware one on at which it is open, in UTC: that very time when it is open by then.

    None when nothing opens within five weeks.
    """
    after = after.astimezone(UTC)
    if is_open(windows, after):
        return after
    return min((opens for opens, _ in _stretches(windows, after, HORIZON) if opens > after), default=None)


def closes_at(windows: Sequence[MaintenanceWindow], at: datetime) -> datetime | None:
    """Give the first time from an aware one on at which it is not open, in UTC: that very time when it is not open.

    Windows that overlap or touch are one stretch. None when it does not close: without windows, and when the windows
    leave no gap within five weeks.
    """
    if not windows:
        return None
    end = at = at.astimezone(UTC)
    for opens, closes in sorted(_stretches(windows, at, HORIZON)):
        if opens > end:
            break
        end = max(end, closes)
    return end if end - at < HORIZON else None


def _stretches(windows: Sequence[MaintenanceWindow], at: datetime, ahead: timedelta) -> Iterator[Stretch]:
    """Yield when the windows open and close, in UTC, of all that may be open at a time or open within what is ahead."""
    for window in windows:
        zone = ZoneInfo(window.time_zone)
        start, end = time.fromisoformat(window.start), time.fromisoformat(window.end)
        today = at.astimezone(zone).date()
        # A window lasts two days of the calendar at most, and a change of clocks can move the date by one more.
        for day in (today + timedelta(days=number) for number in range(-2, ahead.days + 2)):
            if DAYS[day.weekday()] in window.days:
                last_day = day if start < end else day + timedelta(days=1)
                opens = _instant(datetime.combine(day, start), zone, fold=0)
                closes = _instant(datetime.combine(last_day, end), zone, fold=1)
                if opens < closes:
                    yield opens, closes


def _instant(wall: datetime, zone: tzinfo, fold: int) -> datetime:
    """Give when the clock shows that: the first (0) or second (1) time, or the moment in which it is skipped."""
    before, after = (wall.replace(tzinfo=zone, fold=number).astimezone(UTC) for number in (0, 1))
    # Of a skipped time, the offset from before the change gives an instant after it, and the other way round.
    return _change(after, before, zone) if after < before else (before, after)[fold]


def _change(low: datetime, high: datetime, zone: tzinfo) -> datetime:
    """Give the second of the one change of clocks after `low` and not after `high`."""
    offset = low.astimezone(zone).utcoffset()
    while high - low > timedelta(seconds=1):
        middle = low + timedelta(seconds=(high - low) // timedelta(seconds=2))
        if middle.astimezone(zone).utcoffset() == offset:
            low = middle
        else:
            high = middle
    return high
