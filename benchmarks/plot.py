"""Draws the bars of a run's ratios: `python plot.py FOLDER`, in the environment that has matplotlib."""

import json
import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")
from matplotlib import pyplot as plt

# The same file for the same figures; text stays text.
mpl.rcParams.update(
    {"svg.hashsalt": "parlor", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 10}
)
OURS, OTHERS, LINE = "#3b6fb6", "#b8c0cc", "#c0392b"
Rows = list[dict]


def main(folder: Path) -> None:
    told = json.loads((folder / "latest.json").read_text())
    rows = told["rows"]
    caption = f"{told['taken_at']}, {told['cores']} cores of {told['processor']}. {told['warning'] or ''}"
    by_part = {
        part: [row for row in rows if row["part"] == part and row["ratio"]]
        for part in ("race", "growth", "social")
    }
    if race := by_part["race"]:
        speed = _named(race, "end to end: ")
        delay = _named(race, "enqueue to result: ")
        _draw(
            folder / "race.svg",
            caption,
            ("Tasks a second, from the first enqueue to the last result", speed, "times as many as by hand"),
            ("Milliseconds from enqueue to result at a low rate (p50)", delay, "times as long as by hand"),
        )
    for part in ("growth", "social"):
        if grown := by_part[part]:
            _draw(folder / f"{part}.svg", caption, *_by_size(grown))


def _by_size(rows: Rows) -> list[tuple[str, dict[str, dict], str]]:
    """Make a panel for each size; its floor is the smallest."""
    panels: dict[str, dict[str, dict]] = {}
    for row in rows:
        operation, _, size = row["operation"].partition(" with ")
        panels.setdefault(size, {})[operation] = row
    label = f"times as many a second as {rows[0]['floor']}"
    return [(f"With {size}", bars, label) for size, bars in panels.items()]


def _named(rows: Rows, prefix: str) -> dict[str, dict]:
    return {row["operation"].removeprefix(prefix): row for row in rows if row["operation"].startswith(prefix)}


def _draw(file: Path, caption: str, *panels: tuple[str, dict[str, dict], str]) -> None:
    height = 0.3 + sum(0.9 + 0.34 * len(bars) for _, bars, _ in panels)
    figure, axes = plt.subplots(
        len(panels),
        figsize=(8, height),
        squeeze=False,
        height_ratios=[1 + len(bars) for _, bars, _ in panels],
    )
    for ax, (title, bars, label) in zip(axes[:, 0], panels, strict=True):
        _panel(ax, title, bars, label)
    figure.text(0.01, 0.01, caption, fontsize=7, color="#666")
    figure.tight_layout(rect=(0, 0.04, 1, 1))
    figure.savefig(file, metadata={"Date": None, "Creator": None}, transparent=False)


def _panel(ax, title: str, bars: dict[str, dict], label: str) -> None:
    """Draw a bar for each median, and a thin line from the least round to the greatest; the floor is the red line."""
    names, ratios = list(bars), [row["ratio"] for row in bars.values()]
    each = [[own / floor for floor, own in row["rounds"]] for row in bars.values()]
    errors = [
        [ratio - min(rounds) for ratio, rounds in zip(ratios, each, strict=True)],
        [max(rounds) - ratio for ratio, rounds in zip(ratios, each, strict=True)],
    ]
    colours = [OTHERS if row["ask"] is None and "Parlor" not in name else OURS for name, row in bars.items()]
    ax.barh(names, ratios, color=colours, xerr=errors, error_kw={"elinewidth": 0.8, "ecolor": "#444"})
    ax.axvline(1, color=LINE, linewidth=1.2)
    edge = max(max(rounds) for rounds in each)
    for index, ratio in enumerate(ratios):
        ax.text(1.02, index, f"{ratio:.2f}", va="center", transform=ax.get_yaxis_transform())
    ax.set_xlim(0, max(1.1, 1.05 * edge))
    ax.invert_yaxis()
    ax.set_title(title, loc="left", fontsize=11)
    ax.set_xlabel(label)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(left=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
