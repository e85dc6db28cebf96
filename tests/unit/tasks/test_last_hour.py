"""What ended in the last hour: each minute is read until it is settled, and kept until it is too old."""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from parlor.core.tasks.last_hour import STEPS_PER_E, EndedAlike, KindPace, LastHour, Minute
from parlor.core.tasks.model import TaskStatus
from tests.fakes.clock import NOON

MINUTE = timedelta(minutes=1)
FAILED, CANCELLED = TaskStatus.FAILED, TaskStatus.CANCELLED


def ended(minute: datetime = NOON, **fields: Any) -> EndedAlike:
    defaults: dict[str, Any] = {"kind": "note", "status": TaskStatus.SUCCEEDED, "step": 0, "tasks": 1}
    return EndedAlike(minute, **defaults | fields)


def after(seconds: float) -> int:
    """The step of what took so long."""
    return math.floor(STEPS_PER_E * math.log(seconds * 1000))


def read(hour: LastHour, now: datetime, *rows: EndedAlike) -> list[datetime]:
    """Read what is unread from these; answers where it began and ended."""
    moments: list[datetime] = []
    for since, until in hour.unread(now):
        hour.keep(now, since, until, [row for row in rows if since <= row.minute < until])
        moments += [since, until]
    return [moments[0], moments[-1]]


def paces(*rows: EndedAlike) -> Sequence[KindPace]:
    hour = LastHour()
    read(hour, NOON, *rows)
    return hour.kinds()


def test_there_are_sixty_minutes_the_present_one_last() -> None:
    hour = LastHour()
    now = NOON + timedelta(seconds=30.5)
    read(hour, now, ended(), ended(status=FAILED, tasks=2), ended(NOON - 59 * MINUTE, status=CANCELLED))
    minutes = hour.minutes(now)
    assert [each.at for each in minutes] == [NOON + MINUTE * number for number in range(-59, 1)]
    assert minutes[0] == Minute(NOON - 59 * MINUTE, succeeded=0, failed=0, cancelled=1)
    assert minutes[-1] == Minute(NOON, succeeded=1, failed=2, cancelled=0)
    assert minutes[1:-1] == [Minute(each.at, 0, 0, 0) for each in minutes[1:-1]]


def test_at_first_the_whole_hour_is_read_in_slices_without_a_hole() -> None:
    hour = LastHour()
    slices = list[tuple[datetime, datetime]]()
    for since, until in hour.unread(NOON):
        slices.append((since, until))
        hour.keep(NOON, since, until, [])
    assert slices[0][0] == NOON - 59 * MINUTE
    assert slices[-1][1] == NOON + MINUTE
    assert all(one[1] == other[0] for one, other in pairwise(slices))


def test_after_that_only_what_is_not_settled_is_read_again() -> None:
    hour = LastHour()
    read(hour, NOON, ended(tasks=1), ended(NOON - 2 * MINUTE, tasks=7))
    assert read(hour, NOON + timedelta(seconds=2), ended(tasks=5)) == [NOON - MINUTE, NOON + MINUTE]
    minutes = hour.minutes(NOON)
    assert [each.succeeded for each in minutes[-3:]] == [7, 0, 5]


def test_what_an_unsettled_minute_said_before_does_not_count_beside_what_it_says_now() -> None:
    """A task that was retried within it did not end."""
    hour = LastHour()
    read(hour, NOON, ended(tasks=3), ended(NOON - MINUTE))
    read(hour, NOON, ended(NOON - MINUTE))
    assert [each.succeeded for each in hour.minutes(NOON)[-2:]] == [1, 0]


def test_a_reading_that_broke_off_goes_on_where_it_was() -> None:
    hour = LastHour()
    slices = hour.unread(NOON)
    since, until = next(slices)
    hour.keep(NOON, since, until, [])
    assert next(hour.unread(NOON)) == next(slices)


def test_what_is_older_than_an_hour_is_forgotten() -> None:
    hour = LastHour()
    read(hour, NOON, ended(kind="old"))
    read(hour, NOON + 60 * MINUTE, ended(NOON + MINUTE, kind="new"))
    assert [pace.kind for pace in hour.kinds()] == ["new"]


def test_a_long_pause_does_not_ask_for_more_than_an_hour() -> None:
    hour = LastHour()
    read(hour, NOON)
    later = NOON + timedelta(days=1)
    assert read(hour, later) == [later - 59 * MINUTE, later + MINUTE]


@pytest.mark.parametrize("seconds", [0.002, 0.5, 30.0, 7200.0])
def test_a_duration_is_told_within_five_per_cent(seconds: float) -> None:
    (pace,) = paces(ended(step=after(seconds)))
    assert pace.p50_s == pytest.approx(seconds, rel=0.052)


def test_half_of_a_kinds_tasks_took_no_longer_than_the_median_and_19_of_20_no_longer_than_the_other() -> None:
    (pace,) = paces(
        *(ended(NOON - MINUTE * n, step=after(0.1), tasks=18) for n in range(5)),
        *(ended(NOON - MINUTE * n, step=after(9), tasks=2, status=FAILED) for n in range(5)),
    )
    assert (pace.ended, pace.failed) == (100, 10)
    assert pace.p50_s == pytest.approx(0.1, rel=0.052)
    assert pace.p95_s == pytest.approx(9, rel=0.052)


def test_the_slowest_kind_comes_first_and_what_never_ran_last() -> None:
    found = paces(
        ended(kind="quick", step=after(0.01)),
        ended(kind="slow", step=after(20)),
        ended(kind="dropped", step=None, status=CANCELLED),
    )
    assert [(pace.kind, pace.p95_s is None) for pace in found] == [
        ("slow", False),
        ("quick", False),
        ("dropped", True),
    ]


def test_what_was_cancelled_says_nothing_about_how_long_a_kind_takes() -> None:
    (pace,) = paces(ended(step=after(500), status=CANCELLED), ended(step=after(1)))
    assert pace.ended == 2
    assert pace.p95_s == pytest.approx(1, rel=0.052)


def test_the_lost_are_counted() -> None:
    hour = LastHour()
    read(hour, NOON, ended(status=FAILED, tasks=3, lost=2), ended(NOON - MINUTE, status=FAILED, lost=1))
    assert hour.lost() == 3
