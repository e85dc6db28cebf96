"""What was measured, as a table for people and as JSON for programs."""

import json
import os
import platform
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import isnan, nan
from pathlib import Path
from statistics import median

HERE = Path(__file__).parent
RESULTS = HERE / "results"
# The processor time that the measured process took for each request or task.
CPU = "cpu us"


@dataclass(frozen=True, slots=True)
class Operation:
    """What is compared with which floor, and the ratio that is asked for: at least so much, or at most."""

    name: str
    floor: str
    unit: str
    ask: float
    at_most: bool = False


@dataclass(frozen=True, slots=True)
class Measured:
    """One side of one round: the figure that counts, and what else is worth knowing of it."""

    figure: float
    details: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class Row:
    """One operation's rounds, each a floor and ours that were measured directly after one another."""

    operation: Operation
    rounds: list[tuple[Measured, Measured]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @contextmanager
    def failing(self) -> Iterator[None]:
        """Keep the failure of a round as a finding: the other operations are still measured."""
        try:
            yield
        except (RuntimeError, OSError) as failure:
            self.failures.append(f"{type(failure).__name__}: {failure}")

    def add(self, floor: Measured, ours: Measured) -> None:
        """Keep a round."""
        self.rounds.append((floor, ours))

    @property
    def floor(self) -> float:
        return _median(floor.figure for floor, _ in self.rounds)

    @property
    def ours(self) -> float:
        return _median(ours.figure for _, ours in self.rounds)

    @property
    def ratio(self) -> float:
        """The median of the rounds' own ratios: what disturbs a round disturbs both of its sides."""
        return _median(ours.figure / floor.figure for floor, ours in self.rounds)

    @property
    def cpu_ratio(self) -> float:
        """The same by the processor time of our processes alone, whatever else the machine does."""
        used = [(floor.details.get(CPU), ours.details.get(CPU)) for floor, ours in self.rounds]
        return _median(beside / own for beside, own in used if beside and own)

    @property
    def reached(self) -> bool:
        ask = self.operation.ask
        if self.failures or not self.rounds:
            return False
        return self.ratio <= ask if self.operation.at_most else self.ratio >= ask

    @property
    def ask(self) -> str:
        return f"{'≤' if self.operation.at_most else '≥'} {self.operation.ask:g}"

    def details(self, side: int) -> dict[str, float]:
        """The medians of the details of one side."""
        names = dict.fromkeys(name for pair in self.rounds for name in pair[side].details)
        return {
            name: median(pair[side].details[name] for pair in self.rounds if name in pair[side].details)
            for name in names
        }


def as_json(rows: list[Row], *, plan: str, took_s: float) -> str:
    """Write everything that was measured."""
    listed = [
        {
            "operation": row.operation.name,
            "floor": row.operation.floor,
            "unit": row.operation.unit,
            "floor_figure": row.floor if row.rounds else None,
            "our_figure": row.ours if row.rounds else None,
            "ratio": row.ratio if row.rounds else None,
            "ask": row.operation.ask,
            "at_most": row.operation.at_most,
            "cpu_ratio": None if isnan(row.cpu_ratio) else row.cpu_ratio,
            "reached": row.reached,
            "failures": row.failures,
            "floor_details": row.details(0),
            "our_details": row.details(1),
            "rounds": [[floor.figure, ours.figure] for floor, ours in row.rounds],
        }
        for row in rows
    ]
    about = {"plan": plan, "took_s": round(took_s), **_circumstances()}
    return json.dumps({**about, "rows": listed}, indent=2, default=str) + "\n"


def as_markdown(rows: list[Row], *, plan: str, took_s: float) -> str:
    """Write the table, and below it what else is known of each operation."""
    about = _circumstances()
    where = f"{about['cores']} cores, Python {about['python']}"
    lines = [
        "# Benchmarks",
        "",
        f"Plan `{plan}`, {about['taken_at']}, {where}, {took_s:.0f} s.",
        "Each ratio is the median over rounds in which the floor and ours take turns.",
        "`CPU ratio` is the same by the processor time of the measured processes alone.",
        "",
        "| operation | floor | unit | floor's | ours | ratio | CPU ratio | ask | reached |",
        "|---|---|---|---:|---:|---:|---:|---:|---|",
    ]
    lines += [_line(row) for row in rows]
    lines += ["", "| operation | side | ratio of each round | details |", "|---|---|---|---|"]
    lines += [line for row in rows for line in _details(row)]
    return "\n".join(lines) + "\n"


def write(rows: list[Row], folder: Path, *, plan: str, took_s: float) -> None:
    """Write both files."""
    told = as_markdown(rows, plan=plan, took_s=took_s)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (("latest.md", told), ("latest.json", as_json(rows, plan=plan, took_s=took_s))):
        draft = folder / f"{name}.tmp"
        draft.write_text(text, encoding="utf-8")
        draft.replace(folder / name)


def _line(row: Row) -> str:
    operation = row.operation
    cells = [operation.name, operation.floor, operation.unit, _figure(row.floor), _figure(row.ours)]
    by_cpu = "" if isnan(row.cpu_ratio) else f"{row.cpu_ratio:.2f}"
    cells += [f"{row.ratio:.2f}", by_cpu, row.ask, "yes" if row.reached else "**no**"]
    return "| " + " | ".join(cells) + " |"


def _details(row: Row) -> list[str]:
    ratios = " ".join(f"{ours.figure / floor.figure:.2f}" for floor, ours in row.rounds)
    lines = []
    for side, name in enumerate(("floor", "ours")):
        told = ", ".join(f"{what} {_figure(value)}" for what, value in row.details(side).items())
        lines.append(f"| {row.operation.name} | {name} | {ratios if side else ''} | {told} |")
    lines += [f"| {row.operation.name} | **failed** | | {_short(failure)} |" for failure in row.failures]
    return lines


def _short(text: str) -> str:
    return " ".join(text.replace("|", "/").split())[:200]


def _median(values: Iterable[float]) -> float:
    """Answer `nan` for none at all: every round of the operation failed."""
    listed = list(values)
    return median(listed) if listed else nan


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def _circumstances() -> dict[str, object]:
    return {
        "taken_at": datetime.now(UTC).isoformat(timespec="minutes").replace("+00:00", "Z"),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "python": platform.python_version(),
    }
