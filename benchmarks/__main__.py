"""Measure everything and write `benchmarks/results/latest.md` and `latest.json`: `python -m benchmarks`."""

import argparse
import sys
import time
from pathlib import Path

import uvloop

from benchmarks import http_api, login, tasks
from benchmarks.plan import FULL, QUICK, Plan
from benchmarks.stage import PARLOR, Stage, a_stage
from benchmarks.table import RESULTS, Row, as_markdown, write

PARTS = {"http": http_api.measure, "login": login.measure, "tasks": tasks.measure}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="only see that all of it runs")
    parser.add_argument("--only", choices=PARTS, action="append", help="leave the other parts out")
    parser.add_argument("--results", type=Path, help="the folder of the two files; --quick alone writes none")
    given = parser.parse_args()
    plan = QUICK if given.quick else FULL
    began = time.perf_counter()
    with a_stage() as stage:
        rows = uvloop.run(measure(stage, plan, given.only or list(PARTS)))
    took_s = time.perf_counter() - began
    folder = given.results or (None if given.quick else RESULTS)
    if folder is not None:
        write(rows, folder, plan=plan.name, took_s=took_s)
    print(as_markdown(rows, plan=plan.name, took_s=took_s))
    if any(row.failures for row in rows):
        sys.exit("Some operations failed: the table says which.")


async def measure(stage: Stage, plan: Plan, parts: list[str]) -> list[Row]:
    """Measure one part after another on the same servers."""
    await stage.run(PARLOR, "migrate")
    rows: list[Row] = []
    for part in parts:
        print(f"measuring: {part}", file=sys.stderr, flush=True)
        rows += await PARTS[part](stage, plan)
    return rows


if __name__ == "__main__":
    main()
