"""Cron lines in time zones: what is read, what is refused, and what a change of the clocks does."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings, strategies as st

from parlor.adapters.cron import CronsimLines
from parlor.core.shared.errors import Invalid
from parlor.core.tasks.schedules import InvalidCron, NeverDue, UnknownTimezone

LINES = CronsimLines()
# Zones with a change of an hour in each direction, of half an hour, over midnight, and of a whole day.
ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Beirut",
    "Africa/Casablanca",
]
FIELDS = st.tuples(
    st.sampled_from(["*", "*/15", "0", "30", "7,59", "10-20/3"]),
    st.sampled_from(["*", "*/6", "0", "2", "1-3", "23"]),
    st.sampled_from(["*", "1", "28-31", "*/10"]),
    st.sampled_from(["*", "3", "10", "MAR,OCT"]),
    st.sampled_from(["*", "0", "SUN", "7", "MON-FRI"]),
)
FEW = settings(max_examples=40, deadline=None)
START = datetime(2020, 1, 1, tzinfo=UTC)
MINUTES = st.integers(0, 20 * 365 * 24 * 60).map(lambda minutes: START + timedelta(minutes=minutes))
MOMENTS = st.builds(lambda at, more: at + timedelta(seconds=more), MINUTES, st.floats(0, 59))


def due(line: str, zone: str, after: str, number: int = 1) -> list[str]:
    """Tell the next moments, in UTC."""
    moment, found = datetime.fromisoformat(after), []
    for _ in range(number):
        moment = LINES.next_after(line, zone, moment)
        found.append(f"{moment:%Y-%m-%d %H:%M}")
    return found


@pytest.mark.parametrize(
    ("line", "after", "following"),
    [
        ("* * * * *", "2026-03-01T12:00:00Z", "2026-03-01 12:01"),
        ("* * * * *", "2026-03-01T11:59:59.999999Z", "2026-03-01 12:00"),
        ("*/15 * * * *", "2026-03-01T12:00:00Z", "2026-03-01 12:15"),
        ("30 7 * * *", "2026-03-01T12:00:00Z", "2026-03-02 07:30"),
        ("0 0 29 2 *", "2026-03-01T12:00:00Z", "2028-02-29 00:00"),
        ("0 0 * * 7", "2026-03-01T12:00:00Z", "2026-03-08 00:00"),
        ("0 0 * * sun", "2026-03-01T12:00:00Z", "2026-03-08 00:00"),
        ("0 9-17/4 * jan-MAR MON,FRI", "2026-03-01T12:00:00Z", "2026-03-02 09:00"),
        ("0  0   1 * *", "2026-03-01T12:00:00Z", "2026-04-01 00:00"),
        ("5/20 * * * *", "2026-03-01T12:30:00Z", "2026-03-01 12:45"),
    ],
)
def test_a_line_says_which_minute_is_next(line: str, after: str, following: str) -> None:
    assert due(line, "UTC", after) == [following]


def test_where_both_days_are_named_either_will_do() -> None:
    """So every cron has it: the 13th, and Fridays."""
    assert due("0 0 13 * FRI", "UTC", "2026-03-01T00:00:00Z", 4) == [
        "2026-03-06 00:00",
        "2026-03-13 00:00",
        "2026-03-20 00:00",
        "2026-03-27 00:00",
    ]


@pytest.mark.parametrize(
    "line",
    [
        "",
        "* * * *",
        "* * * * * *",
        " * * * * *",
        "* * * * * ",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * 32 * *",
        "* * * 13 *",
        "* * * * 8",
        "*/0 * * * *",
        "-1 * * * *",
        "5-1 * * * *",
        "1,,2 * * * *",
        "1.5 * * * *",
        "* * * FOO *",
        "MON * * * *",
        "@daily",
        "* * L * *",
        "* * LW * *",
        "* * * * 1#2",
        "* * * * 5L",
        "H * * * *",
        "? * * * *",
        "* * 31 13 *",
        "* * * *\t*",
        "* * * *\u2003*",
        "\uff11 * * * *",
        "\u0661 * * * *",
        "9" * 300,
        "0 0 30 2 FOO",
    ],
)
def test_what_is_no_line_of_five_fields_is_refused(line: str) -> None:
    with pytest.raises(InvalidCron) as refused:
        LINES.check(line, None)
    assert [(flaw.pointer, flaw.code) for flaw in refused.value.flaws] == [("/cron", "invalid_cron")]


@pytest.mark.parametrize("line", ["0 0 31 2 *", "0 0 30 2 *", "0 0 31 APR,jun,9,11 *", "0 0 30 2 */2"])
def test_a_line_that_never_comes_due_is_refused(line: str) -> None:
    with pytest.raises(NeverDue) as refused:
        LINES.check(line, "UTC")
    assert [(flaw.pointer, flaw.code) for flaw in refused.value.flaws] == [("/cron", "never_due")]


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Berlin",
        "europe/berlin",
        "Europe",
        "Europe/",
        "/Europe/Berlin",
        "../../etc/passwd",
        "/etc/localtime",
        "localtime",
        "posix/Europe/Berlin",
        "right/Europe/Berlin",
        "+02:00",
        "UTC\0",
        "x" * 5000,
    ],
)
def test_what_is_no_time_zone_of_ianas_is_refused(name: str) -> None:
    with pytest.raises(UnknownTimezone) as refused:
        LINES.check(None, name)
    assert [(flaw.pointer, flaw.code) for flaw in refused.value.flaws] == [("/timezone", "unknown_timezone")]


def test_only_what_is_given_is_looked_at() -> None:
    LINES.check(None, None)
    LINES.check("* * * * *", None)
    LINES.check(None, "Europe/Berlin")


# When the clocks change: Berlin leaves out 02:00-02:59 on 2026-03-29, and has it twice on 2026-10-25.


def test_a_time_of_day_is_local() -> None:
    assert due("30 7 * * *", "Europe/Berlin", "2026-03-27T12:00:00Z", 3) == [
        "2026-03-28 06:30",
        "2026-03-29 05:30",
        "2026-03-30 05:30",
    ]


def test_a_time_that_is_left_out_comes_at_the_next_that_exists() -> None:
    """Half past two does not exist: at three."""
    assert due("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 2) == [
        "2026-03-29 01:00",
        "2026-03-30 00:30",
    ]


def test_several_that_are_left_out_come_once_together() -> None:
    """All of them, and the minute that takes them up, if the line names it."""
    expected = ["2026-03-29 00:45", "2026-03-29 01:00", "2026-03-29 01:15"]
    assert due("*/15 1-3 * * *", "Europe/Berlin", "2026-03-29T00:30:00Z", 3) == expected
    assert due("*/15 2 29 3 *", "Europe/Berlin", "2026-01-01T00:00:00Z", 2) == [
        "2026-03-29 01:00",
        "2027-03-29 00:00",
    ]


def test_a_time_that_comes_twice_is_due_the_first_time() -> None:
    assert due("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2) == [
        "2026-10-25 00:30",
        "2026-10-26 01:30",
    ]


@pytest.mark.parametrize("line", ["*/15 * * * *", "0,15,30,45 * * * *"])
def test_every_quarter_of_an_hour_rests_in_the_hour_that_repeats(line: str) -> None:
    """Each local minute is due once, whichever way the line is written."""
    assert due(line, "Europe/Berlin", "2026-10-25T00:30:00Z", 3) == [
        "2026-10-25 00:45",
        "2026-10-25 02:00",
        "2026-10-25 02:15",
    ]
    assert due(line, "Europe/Berlin", "2026-10-25T01:20:00Z") == ["2026-10-25 02:00"]


def test_utc_knows_no_such_gap() -> None:
    assert due("*/15 * * * *", "UTC", "2026-10-25T00:45:00Z", 2) == ["2026-10-25 01:00", "2026-10-25 01:15"]


def test_a_midnight_that_is_left_out_comes_at_one() -> None:
    """Beirut's clocks go from 23:59 to 01:00."""
    assert due("0 0 29 3 *", "Asia/Beirut", "2026-03-01T00:00:00Z") == ["2026-03-28 22:00"]


def test_a_day_that_is_left_out_comes_with_the_next() -> None:
    """Samoa went from 29 December 2011 straight to the 31st."""
    assert due("0 12 30 12 *", "Pacific/Apia", "2011-12-01T00:00:00Z") == ["2011-12-30 10:00"]


def test_a_change_of_half_an_hour_leaves_out_half_an_hour() -> None:
    """Lord Howe's clocks go from 01:59 to 02:30, and in autumn from 01:59 back to 01:30."""
    assert due("15 2 4 10 *", "Australia/Lord_Howe", "2026-09-01T00:00:00Z") == ["2026-10-03 15:30"]
    assert due("45 1 5 4 *", "Australia/Lord_Howe", "2026-04-01T00:00:00Z", 2) == [
        "2026-04-04 14:45",
        "2027-04-04 15:15",
    ]


@FEW
@given(line=FIELDS.map(" ".join), zone=st.sampled_from(ZONES), after=MOMENTS)
@example(line="* * * * *", zone="Europe/Berlin", after=datetime(2026, 10, 25, 0, 30, tzinfo=UTC))
@example(line="*/15 * * * *", zone="Europe/Berlin", after=datetime(2026, 3, 29, 0, 40, tzinfo=UTC))
def test_moments_rise_and_no_local_minute_is_due_twice(line: str, zone: str, after: datetime) -> None:
    moments = [after]
    try:
        for _ in range(50):
            moments.append(LINES.next_after(line, zone, moments[-1]))
    except NeverDue:
        return
    assert all(one < other for one, other in pairwise(moments))
    local = [moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0) for moment in moments[1:]]
    assert len(set(local)) == len(local)
    assert all(moment.second == moment.microsecond == 0 for moment in moments[1:])


@FEW
@given(line=FIELDS.map(" ".join), zone=st.sampled_from(ZONES), after=MOMENTS, ahead=st.integers(0, 10_000))
def test_no_moment_lies_between_two_that_follow_each_other(
    line: str, zone: str, after: datetime, ahead: int
) -> None:
    """From wherever one asks in between, the answer is the same."""
    try:
        following = LINES.next_after(line, zone, after)
    except NeverDue:
        return
    between = after + (following - after) * (ahead / 10_001)
    assert LINES.next_after(line, zone, min(between, following - timedelta(microseconds=1))) == following


@FEW
@given(
    zone=st.sampled_from(ZONES),
    local=MINUTES.map(lambda at: at.replace(tzinfo=None)),
)
def test_a_named_minute_is_due_when_it_first_comes_or_when_the_clocks_have_jumped_over_it(
    zone: str, local: datetime
) -> None:
    """Found by walking through all minutes of the days around, without any arithmetic of time zones."""
    here = ZoneInfo(zone)
    line = f"{local.minute} {local.hour} {local.day} {local.month} *"
    start = local.replace(tzinfo=UTC) - timedelta(days=1, hours=1)
    walk = (start + timedelta(minutes=minute) for minute in range(3 * 24 * 60))
    first = next(at for at in walk if at.astimezone(here).replace(tzinfo=None) >= local)
    assert LINES.next_after(line, zone, start) == first


@FEW
@given(st.text("0123456789*,-/ AMONJUL#?", max_size=20))
def test_whatever_is_sent_is_read_or_refused(line: str) -> None:
    try:
        LINES.check(line, None)
    except Invalid:
        return
    assert LINES.next_after(line, "UTC", datetime(2026, 1, 1, tzinfo=UTC)).year < 2100
