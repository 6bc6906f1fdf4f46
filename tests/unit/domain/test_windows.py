"""Windows open and close by the clock on the wall, through its changes."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import accumulate
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from meshupgrade.api.v1alpha1.windows import Day, MaintenanceWindow
from meshupgrade.domain.windows import closes_at, is_open, next_opening

MINUTE = timedelta(minutes=1)
BERLIN, NEW_YORK, LORD_HOWE, SANTIAGO, APIA = (
    "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Pacific/Apia",
)  # fmt: skip


def window(text: str, zone: str = "UTC", days: str = "Mon Tue Wed Thu Fri Sat Sun") -> MaintenanceWindow:
    """Give the window of a text such as 22:00-02:00."""
    start, _, end = text.partition("-")
    return MaintenanceWindow(days=[Day(day) for day in days.split()], start=start, end=end, time_zone=zone)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def stretches(windows: Sequence[MaintenanceWindow], start: str, end: str) -> list[tuple[str, str]]:
    """Give when it opens and closes between two times in UTC, as the public functions tell it."""
    found = []
    at = utc(start)
    while (opens := next_opening(windows, at)) is not None and opens < utc(end):
        closes = closes_at(windows, opens)
        assert closes is not None
        assert at <= opens < closes
        found.append((f"{opens:%m-%d %H:%M:%S}".removesuffix(":00"), f"{closes:%m-%d %H:%M:%S}".removesuffix(":00")))
        at = closes
    return found


def test_without_windows_it_is_always_open() -> None:
    at = utc("2026-03-29T01:00")
    assert is_open([], at)
    assert next_opening([], at) == at
    assert closes_at([], at) is None


@pytest.mark.parametrize(
    ("text", "days", "expected"),
    [
        ("09:00-17:00", "Mon", [("06-15 09:00", "06-15 17:00")]),
        ("22:00-04:00", "Fri", [("06-19 22:00", "06-20 04:00")]),
        ("22:00-00:00", "Fri", [("06-19 22:00", "06-20 00:00")]),
        ("22:00-04:00", "Fri Sat", [("06-19 22:00", "06-20 04:00"), ("06-20 22:00", "06-21 04:00")]),
        ("06:00-06:00", "Wed", [("06-17 06:00", "06-18 06:00")]),
        ("06:00-06:00", "Wed Thu", [("06-17 06:00", "06-19 06:00")]),
        ("22:00-04:00", "Sun", [("06-15 00:00", "06-15 04:00"), ("06-21 22:00", "06-22 04:00")]),
    ],
)
def test_days_are_those_on_which_it_starts(text: str, days: str, expected: list[tuple[str, str]]) -> None:
    # The 15th is a Monday.
    assert stretches([window(text, days=days)], "2026-06-15T00:00", "2026-06-22T00:00") == expected


@pytest.mark.parametrize(
    ("zone", "text", "start", "expected"),
    [
        # Berlin, 29 March: from 02:00 to 03:00 at 01:00 UTC.
        (BERLIN, "01:00-02:00", "2026-03-29T00:00", ("03-29 00:00", "03-29 01:00")),
        (BERLIN, "01:30-02:30", "2026-03-29T00:00", ("03-29 00:30", "03-29 01:00")),
        (BERLIN, "02:30-04:00", "2026-03-29T00:00", ("03-29 01:00", "03-29 02:00")),
        (BERLIN, "02:00-03:30", "2026-03-29T00:00", ("03-29 01:00", "03-29 01:30")),
        (BERLIN, "03:00-03:30", "2026-03-29T00:00", ("03-29 01:00", "03-29 01:30")),
        (BERLIN, "02:15-02:45", "2026-03-29T00:00", ("03-30 00:15", "03-30 00:45")),
        (BERLIN, "02:00-03:00", "2026-03-29T00:00", ("03-30 00:00", "03-30 01:00")),
        (BERLIN, "22:00-02:30", "2026-03-28T12:00", ("03-28 21:00", "03-29 01:00")),
        (BERLIN, "02:30-02:29", "2026-03-29T00:59", ("03-29 00:59", "03-30 00:29")),
        # Berlin, 25 October: from 03:00 to 02:00 at 01:00 UTC.
        (BERLIN, "01:00-01:59", "2026-10-24T23:00", ("10-24 23:00", "10-24 23:59")),
        (BERLIN, "01:30-02:30", "2026-10-24T23:00", ("10-24 23:30", "10-25 01:30")),
        (BERLIN, "02:30-03:30", "2026-10-24T23:00", ("10-25 00:30", "10-25 02:30")),
        (BERLIN, "02:15-02:45", "2026-10-24T23:00", ("10-25 00:15", "10-25 01:45")),
        (BERLIN, "03:00-04:00", "2026-10-24T23:00", ("10-25 02:00", "10-25 03:00")),
        (BERLIN, "22:00-04:00", "2026-10-24T12:00", ("10-24 20:00", "10-25 03:00")),
        # New York, 8 March: from 02:00 to 03:00 at 07:00 UTC. 1 November: from 02:00 to 01:00 at 06:00 UTC.
        (NEW_YORK, "23:00-02:30", "2026-03-08T00:00", ("03-08 04:00", "03-08 07:00")),
        (NEW_YORK, "02:30-05:00", "2026-03-08T05:00", ("03-08 07:00", "03-08 09:00")),
        (NEW_YORK, "02:00-02:59", "2026-03-08T05:00", ("03-09 06:00", "03-09 06:59")),
        (NEW_YORK, "01:30-01:45", "2026-11-01T04:00", ("11-01 05:30", "11-01 06:45")),
        (NEW_YORK, "00:30-01:00", "2026-11-01T04:00", ("11-01 04:30", "11-01 06:00")),
        (NEW_YORK, "02:00-03:00", "2026-11-01T05:30", ("11-01 07:00", "11-01 08:00")),
        # Lord Howe, 5 April: from 02:00 to 01:30 at 15:00 UTC of the 4th. 4 October: from 02:00 to 02:30 at 15:30.
        (LORD_HOWE, "01:45-02:15", "2026-04-04T14:00", ("04-04 14:45", "04-04 15:45")),
        (LORD_HOWE, "01:00-01:40", "2026-04-04T13:30", ("04-04 14:00", "04-04 15:10")),
        (LORD_HOWE, "02:10-02:40", "2026-10-03T15:00", ("10-03 15:30", "10-03 15:40")),
        (LORD_HOWE, "02:00-02:20", "2026-10-03T15:00", ("10-04 15:00", "10-04 15:20")),
        # Santiago, 6 September: there is no midnight; from 00:00 to 01:00 at 04:00 UTC.
        (SANTIAGO, "00:00-00:30", "2026-09-06T03:00", ("09-07 03:00", "09-07 03:30")),
        (SANTIAGO, "22:00-00:30", "2026-09-05T12:00", ("09-06 02:00", "09-06 04:00")),
        # Apia, 30 December 2011: there is no such day; to the 31st at 10:00 UTC.
        (APIA, "09:00-17:00", "2011-12-30T04:00", ("12-30 19:00", "12-31 03:00")),
        (APIA, "22:00-04:00", "2011-12-30T07:00", ("12-30 08:00", "12-30 14:00")),
    ],
)
def test_a_change_of_clocks(zone: str, text: str, start: str, expected: tuple[str, str]) -> None:
    end = (utc(start) + timedelta(days=2)).isoformat()[:16]
    assert stretches([window(text, zone)], start, end)[0] == expected


def test_a_weekly_window_that_is_skipped_opens_a_week_later() -> None:
    assert next_opening([window("02:15-02:45", BERLIN, "Sun")], utc("2026-03-22T01:45")) == utc("2026-04-05T00:15")


@pytest.mark.parametrize("day", range(7))
def test_it_waits_for_the_day_of_next_week(day: int) -> None:
    at = utc("2026-06-15T12:00") + timedelta(days=day)
    only = window("08:00-12:00", days=list(Day)[at.weekday()])
    assert next_opening([only], at) == at + timedelta(days=6, hours=20)


def test_windows_that_overlap_or_touch_close_together() -> None:
    windows = [
        window("08:00-10:00"),
        window("12:00-12:30"),
        window("09:00-11:00", BERLIN),
        window("23:00-11:00", "Asia/Tokyo"),
        window("10:00-12:00"),
    ]
    # Berlin's is inside, and Tokyo's is over at 02:00.
    assert stretches(windows, "2026-01-10T03:00", "2026-01-10T14:00") == [("01-10 08:00", "01-10 12:30")]


def test_a_window_inside_a_longer_one_does_not_close_it() -> None:
    assert closes_at([window("08:00-16:00"), window("09:00-10:00")], utc("2026-01-10T08:30")) == utc("2026-01-10T16:00")


@pytest.mark.parametrize(
    "windows",
    [
        [window("00:00-00:00")],
        [window("02:30-02:30", BERLIN)],
        [window("06:00-18:00"), window("18:00-06:00")],
        [window("00:00-12:00", NEW_YORK), window("11:30-00:30", NEW_YORK)],
    ],
)
def test_windows_without_a_gap_never_close(windows: list[MaintenanceWindow]) -> None:
    for at in (utc("2026-03-29T00:59:59"), utc("2026-10-25T01:30"), utc("2026-11-01T06:00")):
        assert is_open(windows, at)
        assert closes_at(windows, at) is None


def test_the_only_gap_may_be_a_week_away_and_skipped_once() -> None:
    windows = [
        window("00:00-00:00", BERLIN, "Mon Tue Wed Thu Fri Sat"),
        window("00:00-02:15", BERLIN, "Sun"),
        window("02:45-00:00", BERLIN, "Sun"),
    ]
    assert closes_at(windows, utc("2026-03-22T02:00")) == utc("2026-04-05T00:15")


def test_what_is_open_is_asked_in_any_zone_and_to_the_microsecond() -> None:
    tokyo = ZoneInfo("Asia/Tokyo")
    windows = [window("12:00-13:00")]
    opens, closes = (datetime(2026, 6, 15, hour, tzinfo=tokyo) for hour in (21, 22))
    instant = timedelta(microseconds=1)
    assert [is_open(windows, at) for at in (opens - instant, opens, closes - instant, closes)] == [
        False, True, True, False,
    ]  # fmt: skip
    assert next_opening(windows, opens - instant) == opens
    assert closes_at(windows, closes - instant) == closes
    answer = next_opening(windows, opens + instant)
    assert answer is not None
    assert answer.tzinfo is UTC


CHANGES = {
    BERLIN: ("2026-03-29T01:00", "2026-10-25T01:00"),
    NEW_YORK: ("2026-03-08T07:00", "2026-11-01T06:00"),
    LORD_HOWE: ("2026-04-04T15:00", "2026-10-03T15:30"),
    SANTIAGO: ("2026-04-05T03:00", "2026-09-06T04:00"),
    APIA: ("2011-12-30T10:00",),
}
AROUND = timedelta(days=4)
LOOKED_AT = timedelta(hours=30)

changes = st.sampled_from([utc(change) for those in CHANGES.values() for change in those])
# Half of the times are in the hours that are skipped or repeated somewhere.
clocks = st.one_of(
    st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59)),
    st.builds("{:02}:{:02}".format, st.sampled_from([23, 0, 1, 2, 3]), st.sampled_from([0, 15, 29, 30, 31, 45])),
)
maintenance_windows = st.builds(
    MaintenanceWindow,
    days=st.lists(st.sampled_from(Day), min_size=1, unique=True),
    start=clocks,
    end=clocks,
    time_zone=st.sampled_from([*CHANGES, "UTC", "Asia/Kathmandu"]),
)
window_lists = st.lists(maintenance_windows, min_size=1, max_size=4)


@cache
def shown(zone: str, change: datetime) -> tuple[list[datetime], list[datetime], list[datetime]]:
    """Give what the clock shows in each minute around a change, the latest so far, and the earliest yet to come."""
    count = 2 * AROUND // MINUTE
    clock = [
        (change - AROUND + number * MINUTE).astimezone(ZoneInfo(zone)).replace(tzinfo=None) for number in range(count)
    ]
    latest = list(accumulate(clock, max))
    earliest = list(accumulate(reversed(clock), min))[::-1]
    return clock, latest, [*earliest[1:], datetime.max]


def open_minutes(windows: Sequence[MaintenanceWindow], change: datetime) -> dict[datetime, bool]:
    """Tell for each minute near a change whether a window is open, by what the clock shows and without offsets."""
    numbers = range((AROUND - LOOKED_AT) // MINUTE, (AROUND + LOOKED_AT) // MINUTE)
    found = set()
    for item in windows:
        clock, latest, earliest = shown(item.time_zone, change)
        for day in (change.date() + timedelta(days=number) for number in range(-4, 5)):
            if day.strftime("%a") in item.days:
                start, end = wall(day, item.start), wall(day, item.end)
                if end <= start:
                    end += timedelta(days=1)
                found |= {
                    number
                    for number in numbers
                    if latest[number] >= start and (clock[number] < end or earliest[number] <= end)
                }
    return {change - AROUND + number * MINUTE: number in found for number in numbers}


def wall(day: date, text: str) -> datetime:
    return datetime.combine(day, time(int(text[:2]), int(text[3:])))


@settings(max_examples=40)
@given(windows=window_lists, change=changes)
def test_around_a_change_it_is_as_the_clock_tells(windows: list[MaintenanceWindow], change: datetime) -> None:
    expected = open_minutes(windows, change)
    times = list(expected)
    edges = [at for at in times[1:] if expected[at] != expected[at - MINUTE]]
    # Each minute in between would take long and tell no more.
    looked_at = [*times[::30], *edges, *(edge - MINUTE for edge in edges)]
    assert [str(at) for at in looked_at if is_open(windows, at) != expected[at]] == []

    for before, edge in zip([times[0], *edges], edges, strict=False):
        tell = closes_at if expected[before] else next_opening
        assert tell(windows, before) == tell(windows, edge - MINUTE) == edge


any_time = st.one_of(
    st.datetimes(datetime(2000, 1, 1), datetime(2037, 12, 31), timezones=st.just(UTC)),
    st.builds(lambda change, seconds: change + timedelta(seconds=seconds), changes, st.integers(-90_000, 90_000)),
)


@settings(max_examples=60)
@given(windows=window_lists, at=any_time, thousandths=st.lists(st.integers(0, 999), max_size=20))
def test_it_is_open_from_the_opening_to_the_close_and_not_before(
    windows: list[MaintenanceWindow], at: datetime, thousandths: list[int]
) -> None:
    opens = next_opening(windows, at)
    assert opens is not None, "every window opens every week, or is skipped once"
    assert at <= opens <= at + timedelta(days=15)
    assert is_open(windows, opens)
    assert (opens == at) == is_open(windows, at)
    assert not any(is_open(windows, at + (opens - at) * part // 1000) for part in thousandths if opens > at)

    closes = closes_at(windows, opens)
    if closes is None:
        closes = opens + timedelta(weeks=5)
    else:
        assert not is_open(windows, closes)
        assert closes_at(windows, closes) == closes
    assert all(is_open(windows, opens + (closes - opens) * part // 1000) for part in thousandths)
    assert is_open(windows, closes - timedelta(microseconds=1))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"days": []}, "days"),
        ({"days": ["Mon", "Tue", "Mon"]}, "name each day once"),
        ({"days": ["Monday"]}, "days.0"),
        ({"start": "24:00"}, "start"),
        ({"start": "9:00"}, "start"),
        ({"end": "12:60"}, "end"),
        ({"end": "12:00\n"}, "end"),
        ({"timeZone": "Europe/Berlim"}, "Europe/Berlim' is no time zone that is known here"),
        ({"timeZone": "Europe"}, "Europe' is no time zone"),
        ({"timeZone": "europe/../UTC"}, "timeZone"),
        ({"timeZone": "/etc/localtime"}, "timeZone"),
        ({"timeZone": ""}, "timeZone"),
    ],
)
def test_what_is_no_window_is_refused(fields: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        MaintenanceWindow.model_validate({"start": "22:00", "end": "04:00"} | fields)
    [error] = caught.value.errors()
    assert said in ".".join(map(str, error["loc"])) + " " + error["msg"]


def test_days_and_zone_have_defaults() -> None:
    plain = MaintenanceWindow.model_validate({"start": "22:00", "end": "04:00"})
    assert plain.days == list(Day)
    assert plain.time_zone == "UTC"
