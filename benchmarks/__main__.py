"""Measure everything and write `benchmarks/results`: `python -m benchmarks`."""

import argparse
import asyncio
import logging
import sys
import time
from dataclasses import replace
from pathlib import Path

import structlog
import uvloop

from benchmarks import (
    apart,
    chats,
    delivery,
    growth,
    http_api,
    identity,
    login,
    machine,
    memory,
    race,
    social,
    tasks,
)
from benchmarks.plan import FULL, QUICK, Plan
from benchmarks.report import RESULTS, Report
from benchmarks.stage import Stage, a_stage

PARTS = {
    "http": http_api.measure,
    "chats": chats.measure,
    "delivery": delivery.measure,
    "login": login.measure,
    "tasks": tasks.measure,
    "race": race.measure,
    "growth": growth.measure,
    "identity": identity.measure,
    "social": social.measure,
    "memory": memory.measure,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="only see that all of it runs, without peers")
    parser.add_argument("--only", choices=PARTS, action="append", help="leave the other parts out")
    parser.add_argument(
        "--peers", action=argparse.BooleanOptionalAction, help="let them take part in the race"
    )
    parser.add_argument(
        "--results", type=Path, help="the folder of what is written; --quick alone writes none"
    )
    given = parser.parse_args()
    plan = QUICK if given.quick else FULL
    if given.peers is not None:
        plan = replace(plan, peers=given.peers)
    report = Report(plan.name, machine.circumstances())
    if report.about["warning"]:
        print(f"warning: {report.about['warning']}", file=sys.stderr)
    began = time.perf_counter()
    with a_stage() as stage:
        uvloop.run(measure(stage, plan, given.only or list(PARTS), report))
    report.took_s = time.perf_counter() - began
    folder = given.results or (None if given.quick else RESULTS)
    if folder is not None:
        report.write(folder)
    print(report.as_markdown())
    if report.failed:
        sys.exit("Some operations failed: the table says which.")
    if folder is not None and plan.peers:
        asyncio.run(draw(folder))


async def measure(stage: Stage, plan: Plan, parts: list[str], report: Report) -> None:
    """Measure one part after another on the same servers."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    report.about["servers"] = await machine.servers(stage)
    await stage.migrate()
    for part in parts:
        print(f"measuring: {part}", file=sys.stderr, flush=True)
        report.parts[part] = await PARTS[part](stage, plan)


async def draw(folder: Path) -> None:
    """Plot the results, by what is installed for the peers."""
    await apart.ready()
    await apart.draw(folder)


if __name__ == "__main__":
    main()
