"""What ended in the last hour, minute by minute, and how long each kind takes."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from parlor.core.tasks.model import TaskStatus

MINUTES = 60
MINUTE = timedelta(minutes=1)
# Read so much at a time, that no single reading is long however much ended.
SLICE = timedelta(minutes=2)
# What ends is seen in its minute or the next one: no transaction stays open longer. Older minutes stay as they are.
UNSETTLED = MINUTE
# Durations are told apart in steps of a tenth: each is exact within 5 %.
STEPS_PER_E = 10


@dataclass(frozen=True, slots=True)
class EndedAlike:
    """How many tasks of a kind ended in a minute with one status and after one step of time.

    A task that never started has no step. `lost` of them lost their worker.
    """

    minute: datetime
    kind: str
    status: TaskStatus
    step: int | None
    tasks: int
    lost: int = 0


@dataclass(frozen=True, slots=True)
class Minute:
    """How many tasks ended in a minute, by how they ended."""

    at: datetime
    succeeded: int
    failed: int
    cancelled: int


@dataclass(frozen=True, slots=True)
class KindPace:
    """How a kind fared: how many ended, how many of them failed, and how long they took from the first start."""

    kind: str
    ended: int
    failed: int
    p50_s: float | None
    p95_s: float | None


class LastHour:
    """The minutes that were read, kept so that each is read again only until it is settled.

    What was counted stays counted here: a task that failed and is retried did fail in its minute.
    """

    def __init__(self) -> None:
        self._minutes: dict[datetime, list[EndedAlike]] = {}
        self._settled_until: datetime | None = None

    def unread(self, now: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Name what must be read, from and until, in slices; `keep` each before the next is asked for."""
        since, end = self._first(now), _minute(now) + MINUTE
        if self._settled_until is not None:
            since = max(since, self._settled_until)
        while since < end:
            until = min(since + SLICE, end)
            yield since, until
            since = until

    def keep(self, now: datetime, since: datetime, until: datetime, rows: Iterable[EndedAlike]) -> None:
        """Take what a slice says in place of what was said of its minutes before, and forget what is too old."""
        read: defaultdict[datetime, list[EndedAlike]] = defaultdict(list)
        for row in rows:
            read[row.minute].append(row)
        first = self._first(now)
        kept = {at: rows for at, rows in self._minutes.items() if at >= first and not since <= at < until}
        self._minutes = kept | read
        self._settled_until = min(until, _minute(now) - UNSETTLED)

    def minutes(self, now: datetime) -> Sequence[Minute]:
        """Answer the sixty of them, the present one last; those without an end are there too."""
        first = self._first(now)
        return [self._counted(first + MINUTE * number) for number in range(MINUTES)]

    def kinds(self) -> Sequence[KindPace]:
        """Answer each kind of which a task ended, the slowest first."""
        by_kind: defaultdict[str, list[EndedAlike]] = defaultdict(list)
        for row in self._rows():
            by_kind[row.kind].append(row)
        paces = [_pace(kind, rows) for kind, rows in by_kind.items()]
        return sorted(paces, key=lambda pace: (-(pace.p95_s or 0), pace.kind))

    def lost(self) -> int:
        """Count the tasks that ended because they lost their worker."""
        return sum(row.lost for row in self._rows())

    def _rows(self) -> Iterator[EndedAlike]:
        for rows in self._minutes.values():
            yield from rows

    def _counted(self, at: datetime) -> Minute:
        ended = Counter[TaskStatus]()
        for row in self._minutes.get(at, ()):
            ended[row.status] += row.tasks
        return Minute(
            at,
            succeeded=ended[TaskStatus.SUCCEEDED],
            failed=ended[TaskStatus.FAILED],
            cancelled=ended[TaskStatus.CANCELLED],
        )

    @staticmethod
    def _first(now: datetime) -> datetime:
        return _minute(now) - MINUTE * (MINUTES - 1)


def _minute(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)


def _pace(kind: str, rows: Sequence[EndedAlike]) -> KindPace:
    steps = Counter[int]()
    for row in rows:
        if row.step is not None and row.status is not TaskStatus.CANCELLED:
            steps[row.step] += row.tasks
    return KindPace(
        kind,
        ended=sum(row.tasks for row in rows),
        failed=sum(row.tasks for row in rows if row.status is TaskStatus.FAILED),
        p50_s=_quantile(steps, 0.5),
        p95_s=_quantile(steps, 0.95),
    )


def _quantile(steps: Mapping[int, int], share: float) -> float | None:
    """Answer the seconds within which this share of them ended; None where there is none."""
    wanted = math.ceil(sum(steps.values()) * share)
    for step in sorted(steps):
        wanted -= steps[step]
        if wanted <= 0:
            return math.exp((step + 0.5) / STEPS_PER_E) / 1000
    return None
