"""`make bench` runs from end to end and writes whole tables; how fast anything is, is not asserted here."""

import json
import subprocess
import sys
from pathlib import Path

from tests.architecture.source import ROOT

PATIENCE_S = 240
ROWS = {
    "GET /users/me",
    "GET one task",
    "POST a task with its outbox row",
    "GET a page of 50 tasks",
    "POST a message",
    "POST a message, all into one chat",
    "GET a page of 50 messages",
    "send a message over the WebSocket",
    "GET a search in a chat",
    "GET a search for parties",
    "POST a join of a party",
    "delivery to 5 sockets, 50 messages/s: p50",
    "delivery to 5 sockets, 50 messages/s: p99",
    "delivery to 10 sockets, 20 messages/s: p50",
    "delivery to 10 sockets, 20 messages/s: p99",
    "POST /auth/login",
    "GET /users/me while many log in",
    "POST /auth/refresh, one connection",
    "tasks from the outbox, one process",
    "tasks from the outbox, relay apart",
    "tasks of foreign producers",
    "orders, a transaction each",
    "end to end: Parlor",
    "end to end: Parlor, set for short tasks",
    "end to end: Parlor, foreign producer",
    "enqueue to result: Parlor",
    "enqueue to result: Parlor, set for short tasks",
    "enqueue to result: Parlor, foreign producer",
    "enqueue with 1,000 ended tasks",
    "relay, claim and finish with 1,000 ended tasks",
    "list a page with 1,000 ended tasks",
    "log in with 1,000 sessions and logins",
    "refresh with 1,000 sessions and logins",
    "read a user with 1,000 sessions and logins",
    "post a message with 2,000 messages and parties",
    "read a page of history with 2,000 messages and parties",
    "search in a chat with 2,000 messages and parties",
    "list parties with 2,000 messages and parties",
    "search for parties with 2,000 messages and parties",
    "join a party with 2,000 messages and parties",
    "a worker's memory after 600 tasks",
}


def test_the_benchmarks_run_and_write_a_whole_table(tmp_path: Path) -> None:
    """Without the peers, which would have to be installed first."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick", "--results", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads((tmp_path / "latest.json").read_text())
    assert told["servers"].keys() >= {"PostgreSQL", "RabbitMQ"}
    rows = {row["operation"]: row for row in told["rows"]}
    assert rows.keys() == ROWS
    assert [name for name, row in rows.items() if row["failures"]] == []
    assert all(row["floor_figure"] > 0 and row["figure"] > 0 for row in rows.values())
    table = (tmp_path / "latest.md").read_text()
    assert all(f"| {name} |" in table for name in ROWS)
    assert all(f"| {name} |" in done.stdout for name in ROWS)
