"""What was measured: operations, and their rounds beside a floor."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import nan
from statistics import median

from parlor.core.shared.errors import ParlorError

# The processor time that the measured process took for each request or task.
CPU = "cpu us"


@dataclass(frozen=True, slots=True)
class Operation:
    """What is compared with which floor, and the ratio that is asked for, if any: at least so much, or at most."""

    name: str
    floor: str
    unit: str
    ask: float | None = None
    at_most: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class Measured:
    """One side of one round: the figure that counts, and what else is worth knowing of it."""

    figure: float
    details: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class Row:
    """One operation's rounds, each a floor and a contender that were measured close to one another."""

    operation: Operation
    rounds: list[tuple[Measured, Measured]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @contextmanager
    def failing(self) -> Iterator[None]:
        """Keep the failure of a round as a finding: the other operations are still measured."""
        try:
            yield
        except (RuntimeError, OSError, ParlorError) as failure:
            self.failures.append(f"{type(failure).__name__}: {failure}")

    def add(self, floor: Measured, measured: Measured) -> None:
        """Keep a round."""
        self.rounds.append((floor, measured))

    @property
    def floor(self) -> float:
        return _median(floor.figure for floor, _ in self.rounds)

    @property
    def figure(self) -> float:
        return _median(measured.figure for _, measured in self.rounds)

    @property
    def ratios(self) -> list[float]:
        """Each round's own: what disturbs a round disturbs both of its sides."""
        return [measured.figure / floor.figure for floor, measured in self.rounds]

    @property
    def ratio(self) -> float:
        return _median(self.ratios)

    @property
    def cpu_us(self) -> float:
        return _median(measured.details[CPU] for _, measured in self.rounds if CPU in measured.details)

    @property
    def cpu_ratio(self) -> float:
        """The ratio by the processor time of the processes alone, whatever else the machine does."""
        used = [(floor.details.get(CPU), measured.details.get(CPU)) for floor, measured in self.rounds]
        return _median(beside / own for beside, own in used if beside and own)

    @property
    def reached(self) -> bool | None:
        """Whether it is as good as was asked; None where nothing was."""
        ask = self.operation.ask
        if ask is None:
            return None
        if self.failures or not self.rounds:
            return False
        return self.ratio <= ask if self.operation.at_most else self.ratio >= ask

    def details(self, side: int) -> dict[str, float]:
        """The medians of the details of one side."""
        names = dict.fromkeys(name for pair in self.rounds for name in pair[side].details)
        return {
            name: median(pair[side].details[name] for pair in self.rounds if name in pair[side].details)
            for name in names
        }


def _median(values: Iterable[float]) -> float:
    """Answer `nan` for none at all: every round of the operation failed."""
    listed = list(values)
    return median(listed) if listed else nan
