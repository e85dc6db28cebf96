"""A run's results, as a table for people and as JSON for programs."""

import json
from dataclasses import dataclass, field
from math import isnan
from pathlib import Path

from benchmarks.table import Row

RESULTS = Path(__file__).parent / "results"
_HEAD = """\
| operation | floor | unit | floor's | measured | ratio (all rounds) | CPU µs | CPU ratio | ask | reached |
|---|---|---|---:|---:|---:|---:|---:|---:|---|"""


@dataclass(slots=True)
class Report:
    """The parts of a run, and the circumstances under which they were measured."""

    plan: str
    about: dict[str, object]
    parts: dict[str, list[Row]] = field(default_factory=dict)
    took_s: float = 0.0

    @property
    def failed(self) -> bool:
        return any(row.failures for rows in self.parts.values() for row in rows)

    def write(self, folder: Path) -> None:
        """Write both files."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in (("latest.md", self.as_markdown()), ("latest.json", self.as_json())):
            draft = folder / f"{name}.tmp"
            draft.write_text(text, encoding="utf-8")
            draft.replace(folder / name)

    def as_json(self) -> str:
        """Write everything that was measured."""
        rows = [_plain(part, row) for part, rows in self.parts.items() for row in rows]
        about = {"plan": self.plan, "took_s": round(self.took_s), **self.about}
        return json.dumps({**about, "rows": rows}, indent=2, default=str) + "\n"

    def as_markdown(self) -> str:
        """Write a table for each part, and what else is known of it below."""
        lines = ["# Benchmarks", "", *self._circumstances()]
        for part, rows in self.parts.items():
            lines += ["", f"## {part}", "", _HEAD, *map(_line, rows), ""]
            lines += [f"* {row.operation.name}: {row.operation.note}." for row in rows if row.operation.note]
        lines += ["", "## details", "", "| operation | side | details |", "|---|---|---|"]
        lines += [line for rows in self.parts.values() for row in rows for line in _details(row)]
        return "\n".join(lines) + "\n"

    def _circumstances(self) -> list[str]:
        told = self.about
        versions = told.get("servers")
        where = [f"{told['cores']} cores of {told['processor']}", told["kernel"], f"Python {told['python']}"]
        where += (
            [f"{name} {version}" for name, version in versions.items()] if isinstance(versions, dict) else []
        )
        load = f"load average at the start {told['load_at_start']}"
        return [
            f"Plan `{self.plan}`, {told['taken_at']}, {self.took_s:.0f} s, on {', '.join(map(str, where))}; {load}.",
            *([f"**{told['warning']}**"] if told["warning"] else []),
            "Each ratio is the median over rounds in which the floor and the others take turns, and in brackets the",
            "least and the greatest. `CPU ratio` is the same by the processor time of the measured processes alone.",
        ]


def _plain(part: str, row: Row) -> dict[str, object]:
    return {
        "part": part,
        "operation": row.operation.name,
        "floor": row.operation.floor,
        "unit": row.operation.unit,
        "floor_figure": _known(row.floor),
        "figure": _known(row.figure),
        "ratio": _known(row.ratio),
        "ask": row.operation.ask,
        "at_most": row.operation.at_most,
        "cpu_ratio": _known(row.cpu_ratio),
        "reached": row.reached,
        "note": row.operation.note,
        "failures": row.failures,
        "floor_details": row.details(0),
        "details": row.details(1),
        "rounds": [[floor.figure, measured.figure] for floor, measured in row.rounds],
    }


def _line(row: Row) -> str:
    operation = row.operation
    spread = f" ({min(row.ratios):.2f}-{max(row.ratios):.2f})" if len(row.ratios) > 1 else ""
    ask = "" if operation.ask is None else f"{'≤' if operation.at_most else '≥'} {operation.ask:g}"
    reached = {None: "", True: "yes", False: "**no**"}[row.reached]
    cells = [operation.name, operation.floor, operation.unit, _figure(row.floor), _figure(row.figure)]
    cells += [_ratio(row.ratio) + spread, _figure(row.cpu_us), _ratio(row.cpu_ratio), ask, reached]
    return "| " + " | ".join(cells) + " |"


def _details(row: Row) -> list[str]:
    lines = []
    for side, name in enumerate((row.operation.floor, "measured")):
        told = ", ".join(f"{what} {_figure(value)}" for what, value in row.details(side).items())
        lines += [f"| {row.operation.name} | {name} | {told} |"] if told else []
    lines += [f"| {row.operation.name} | **failed** | {_short(failure)} |" for failure in row.failures]
    return lines


def _short(text: str) -> str:
    return " ".join(text.replace("|", "/").split())[:200]


def _known(value: float) -> float | None:
    return None if isnan(value) else value


def _ratio(value: float) -> str:
    return "" if isnan(value) else f"{value:.2f}"


def _figure(value: float) -> str:
    if isnan(value):
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
