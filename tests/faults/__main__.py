"""Every fault many times, and its line in `docs/reliability.md`: `python -m tests.faults ROUNDS`."""

import json
import os
import sys
import tempfile
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/reliability.md"
BEGIN, END = "<!-- counted by `make faults` -->\n", "<!-- end -->\n"
HEAD = (
    "| fault | times | of | sent | kept | doubled | lost | repeated | longest recovery |\n"
    "|---|---|---|---|---|---|---|---|---|\n"
)


def main(rounds: str) -> int:
    """Run them in one process, so that only what a scenario itself does loads the machine."""
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder, "results")
        os.environ |= {"PARLOR_FAULT_ROUNDS": rounds, "PARLOR_FAULT_RESULTS": str(results)}
        import pytest  # noqa: PLC0415 - reads nothing before the environment is set

        code = int(pytest.main(["-s", "-n", "0", str(ROOT / "tests/faults"), str(ROOT / "tests/properties")]))
        tallies = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    table = a_table(tallies)
    print(table)
    write(f"{table}\n{circumstances(rounds)}\n")
    return code


def circumstances(rounds: str) -> str:
    """Say when, how often and on what; a busy machine recovers later."""
    load = f"{os.cpu_count()} processors under a load of {os.getloadavg()[2]:.0f}"
    return f"Counted on {datetime.now(UTC):%Y-%m-%d} with `ROUNDS={rounds}`, on {load}."


def a_table(tallies: Iterable[dict[str, Any]]) -> str:
    """Write a line for each scenario."""
    return HEAD + "".join(
        "| {fault} | {times} | {what} | {sent} | {kept} | {doubled} | {lost} | {again} | {recovery} |\n".format(
            **tally
        )
        for tally in tallies
    )


def write(counted: str) -> None:
    """Put it between the marks of the page."""
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(before + BEGIN + "\n" + counted + "\n" + END + rest.partition(END)[2])


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
