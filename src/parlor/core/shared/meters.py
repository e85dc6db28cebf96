"""What a process counts about itself, in plain numbers: to count costs a fraction of a microsecond, and blocks nothing.

Names follow Prometheus' conventions; who writes the numbers out is not known here. Whoever counts takes its meters from
the one book of the process, and keeps the cell of what happens often.
"""

from bisect import bisect_left
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar

Labels = tuple[str, ...]
Readings = Mapping[Labels, float]

ONE: Labels = ()
OTHER = "other"
# However wrong somebody is about what their labels may be: beyond these, all further ones are "other".
MOST_CELLS = 1000
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
LONG_SECONDS = (0.01, 0.05, 0.25, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0)


class Count:
    """How often something happened: `n += 1`."""

    __slots__ = ("n",)

    def __init__(self) -> None:
        self.n = 0


class Spread:
    """How long something took: how often up to each bound (in seconds), the last one without end, and in sum."""

    __slots__ = ("bounds", "counts", "total_s")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total_s = 0.0

    def see(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total_s += seconds

    def at_once(self) -> None:
        """Count one that took no time worth measuring."""
        self.counts[0] += 1


CellT = TypeVar("CellT", Count, Spread)


class Cells(Generic[CellT]):
    """What is counted under one name, a cell for each combination of the labels' values."""

    def __init__(self, make: Callable[[], CellT]) -> None:
        self._make: Callable[[], CellT] = make
        self._cells: dict[Labels, CellT] = {}

    def of(self, values: Labels) -> CellT:
        """Find the cell, or make it."""
        cell = self._cells.get(values)
        if cell is None:
            if len(self._cells) >= MOST_CELLS:
                values = (OTHER,) * len(values)
            cell = self._cells.setdefault(values, self._make())
        return cell

    def all(self) -> Iterator[tuple[Labels, CellT]]:
        """List them; others may go on counting."""
        yield from tuple(self._cells.items())


class Tally:
    """Something that only grows. Its name ends in `_total`."""

    def __init__(self, name: str, told: str, labels: Labels) -> None:
        self.name = name
        self.told = told
        self.labels = labels
        self._cells = Cells(Count)
        self._sources: list[Callable[[], Readings]] = []

    def of(self, *values: str) -> Count:
        """Find the cell of these values, to be kept by whoever counts often; it shows from now on, if only as 0."""
        return self._cells.of(values)

    def add(self, *values: str, by: int = 1) -> None:
        """Count what is seldom."""
        self._cells.of(values).n += by

    def reads(self, source: Callable[[], Readings]) -> None:
        """Show what somebody counts without us, asked for each time that it is written out."""
        self._sources.append(source)

    def readings(self) -> Readings:
        """Answer all that is known."""
        own = {values: float(cell.n) for values, cell in self._cells.all()}
        return own | _merged(self._sources)


class Timing:
    """How long something takes, in seconds. Its name ends in `_seconds`."""

    def __init__(self, name: str, told: str, labels: Labels, bounds: Sequence[float]) -> None:
        self.name = name
        self.told = told
        self.labels = labels
        self.bounds = bounds
        self._cells = Cells(lambda: Spread(bounds))

    def of(self, *values: str) -> Spread:
        """Find the cell of these values, to be kept by whoever counts often."""
        return self._cells.of(values)

    def spreads(self) -> Iterator[tuple[Labels, Spread]]:
        """List the cells."""
        return self._cells.all()


class Level:
    """Something that goes up and down."""

    def __init__(self, name: str, told: str, labels: Labels) -> None:
        self.name = name
        self.told = told
        self.labels = labels
        self._shown: Readings = {}
        self._sources: list[Callable[[], Readings]] = []

    def show(self, readings: Readings) -> None:
        """Say what it is now, in place of what was said before: nothing where nobody knows."""
        self._shown = readings

    def reads(self, source: Callable[[], Readings]) -> None:
        """Ask somebody each time that it is written out."""
        self._sources.append(source)

    def readings(self) -> Readings:
        """Answer all that is known."""
        return {**self._shown, **_merged(self._sources)}


Meter = Tally | Timing | Level


@dataclass(frozen=True, slots=True)
class Survey:
    """What only somebody else can tell, such as a database: `ask` shows it on these levels, or raises."""

    part: str
    ask: Callable[[], Awaitable[None]]
    levels: Sequence[Level] = ()


MeterT = TypeVar("MeterT", Tally, Timing, Level)


class Meters:
    """The book of one process: every meter under its name. Who asks for one that is there gets that one."""

    def __init__(self) -> None:
        self._meters: dict[str, Meter] = {}
        self.surveys: list[Survey] = []

    def tally(self, name: str, told: str, *labels: str) -> Tally:
        """Count something."""
        return self._entered(Tally(name, told, labels))

    def timing(self, name: str, told: str, *labels: str, bounds: Sequence[float] = SECONDS) -> Timing:
        """Measure how long something takes."""
        return self._entered(Timing(name, told, labels, bounds))

    def level(self, name: str, told: str, *labels: str) -> Level:
        """Show something."""
        return self._entered(Level(name, told, labels))

    def asks(self, part: str, ask: Callable[[], Awaitable[None]], *levels: Level) -> None:
        """Have somebody asked, every few seconds at most, while anybody wants to know."""
        self.surveys.append(Survey(part, ask, levels))

    def all(self) -> Sequence[Meter]:
        """List them by their names."""
        return [self._meters[name] for name in sorted(self._meters)]

    def _entered(self, meter: MeterT) -> MeterT:
        there = self._meters.setdefault(meter.name, meter)
        if not isinstance(there, type(meter)) or there.labels != meter.labels:
            raise ValueError(f"{meter.name} is another meter already")
        return there


class WrittenMeters(NamedTuple):
    """All meters in one of Prometheus' formats."""

    body: bytes
    media_type: str


class MetersPage(Protocol):
    """What Prometheus reads."""

    async def written(self, accept: str | None) -> WrittenMeters:
        """Write them as they are now, in the format that `Accept` asks for. Never raises; takes 1 s at most.

        What stands behind a part that does not answer is left out, and `parlor_up_part` says so.
        """
        ...


def _merged(sources: Iterable[Callable[[], Readings]]) -> dict[Labels, float]:
    return {values: value for source in sources for values, value in source().items()}
