"""Cron lines, read by cronsim; time zones, from the machine or the package `tzdata`."""

import re
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from parlor.core.shared.errors import Flaw
from parlor.core.tasks.schedules import InvalidCron, NeverDue, UnknownTimezone

MINUTE = timedelta(minutes=1)
ANY_MOMENT = datetime(2000, 1, 1, tzinfo=UTC)
DAY_OF_MONTH, MONTH = 2, 3

_VALUE = r"(?:\d{1,2}|[A-Za-z]{3})"
_TERM = rf"(?:\*|{_VALUE}(?:-{_VALUE})?)(?:/\d{{1,2}})?"
_FIELD = rf"{_TERM}(?:,{_TERM})*"
# What every cron knows. cronsim knows more (a sixth field, `L`, `#`), some of which may never come due.
_LINE = re.compile(rf"{_FIELD}(?: +{_FIELD}){{4}}", re.ASCII)


class CronsimLines:
    """Port `CronLines`.

    cronsim is given local time without a zone, so that it only counts on the calendar; what a change of the clocks
    does to a local minute is decided here (ADR 15).
    """

    def check(self, line: str | None, timezone: str | None) -> None:
        """Read them."""
        if line is not None:
            _matches(line, ANY_MOMENT)
        if timezone is not None:
            _zone(timezone)

    def next_after(self, line: str, timezone: str, moment: datetime) -> datetime:
        """Take the local minutes one by one; those that have come before, in an hour that repeats, are passed over."""
        zone = _zone(timezone)
        for local in _matches(line, moment.astimezone(zone).replace(tzinfo=None, fold=0)):
            due = _first_time(local, zone)
            if due > moment:
                return due
        raise _never_due()


def _matches(line: str, after: datetime) -> CronSim:
    if not _LINE.fullmatch(line):
        raise _invalid()
    try:
        return CronSim(line, after)
    except CronSimError as error:
        raise (_never_due() if _each_field_is_good(line) else _invalid()) from error


def _each_field_is_good(line: str) -> bool:
    """Whether only the day of the month and the month do not go together."""
    return all(_is_read(_with_any(line, field)) for field in (DAY_OF_MONTH, MONTH))


def _with_any(line: str, field: int) -> str:
    fields = line.split()
    fields[field] = "*"
    return " ".join(fields)


def _is_read(line: str) -> bool:
    try:
        CronSim(line, ANY_MOMENT)
    except CronSimError:
        return False
    return True


def _first_time(local: datetime, zone: ZoneInfo) -> datetime:
    """Tell when a local minute comes, first; where the clocks leave it out, when the next one comes."""
    while True:
        moment = local.replace(tzinfo=zone).astimezone(UTC)
        if moment.astimezone(zone).replace(tzinfo=None, fold=0) == local:
            return moment
        local += MINUTE


@cache
def _names() -> frozenset[str]:
    """List the zones that every machine knows, whatever its own files are."""
    return frozenset(files("tzdata").joinpath("zones").read_text().split())


def _zone(name: str) -> ZoneInfo:
    if name not in _names():
        raise UnknownTimezone(
            flaws=[Flaw("/timezone", UnknownTimezone.code, "There is no time zone of this name.")]
        )
    return ZoneInfo(name)


def _invalid() -> InvalidCron:
    return InvalidCron(flaws=[Flaw("/cron", InvalidCron.code, "This is no cron line of five fields.")])


def _never_due() -> NeverDue:
    return NeverDue(flaws=[Flaw("/cron", NeverDue.code, "No calendar has such a day.")])
