"""The tables of `make bench`: what is counted, and what is said of a run that cannot be relied on."""

import json
from math import isnan

from benchmarks.plan import FULL, QUICK
from benchmarks.report import Report
from benchmarks.table import CPU, Measured, Operation, Row

ABOUT: dict[str, object] = {
    "taken_at": "2026-01-01T00:00Z",
    "cores": 2,
    "processor": "some processor",
    "kernel": "Linux 6",
    "python": "3.11.7",
    "load_at_start": 0.1,
    "warning": None,
}


def a_row(*rounds: tuple[float, float], ask: float | None = 1.0, at_most: bool = False) -> Row:
    row = Row(Operation("work", "by hand", "tasks/s", ask, at_most=at_most, note="as its docs say"))
    for floor, figure in rounds:
        row.add(Measured(floor, {CPU: 200.0}), Measured(figure, {CPU: 100.0}))
    return row


def a_report(*rows: Row, **about: object) -> Report:
    return Report("quick", ABOUT | about, {"race": list(rows)})


def nothing_comes() -> None:
    raise RuntimeError("no results")


def test_the_ratio_is_the_median_of_the_rounds_own_and_its_spread_is_shown() -> None:
    row = a_row((100, 90), (1_000, 2_000), (10, 15))
    assert (row.ratio, row.cpu_us, row.cpu_ratio) == (1.5, 100, 2)
    assert "| 1.50 (0.90-2.00) | 100 | 2.00 | ≥ 1 | yes |" in a_report(row).as_markdown()


def test_an_ask_can_be_a_ceiling() -> None:
    assert a_row((10, 12), ask=1.3, at_most=True).reached
    assert not a_row((10, 14), ask=1.3, at_most=True).reached


def test_what_nobody_asked_for_is_neither_reached_nor_missed() -> None:
    row = a_row((10, 5), ask=None)
    assert row.reached is None
    assert json.loads(a_report(row).as_json())["rows"][0]["reached"] is None


def test_an_operation_that_failed_reaches_nothing_and_says_why() -> None:
    row = a_row()
    with row.failing():
        nothing_comes()
    assert isnan(row.ratio)
    assert row.reached is False
    report = a_report(row)
    assert report.failed
    assert "| work | **failed** | RuntimeError: no results |" in report.as_markdown()
    assert json.loads(report.as_json())["rows"][0]["ratio"] is None


def test_the_settings_of_a_contender_stand_below_its_table() -> None:
    assert "* work: as its docs say." in a_report(a_row((1, 1))).as_markdown()


def test_a_run_on_a_busy_machine_says_so_above_everything_else() -> None:
    told = a_report(a_row((1, 1)), warning="The machine was busy.").as_markdown()
    assert told.index("**The machine was busy.**") < told.index("| work |")
    assert "**" not in a_report(a_row((1, 1))).as_markdown()


def test_only_the_full_run_installs_the_peers() -> None:
    assert FULL.peers
    assert not QUICK.peers
