"""What faults cost, counted from outside: a line for each scenario, which `make faults` gathers into a page."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import asyncpg
import pika

from tests.fleet import Fleet
from tests.waiting import eventually

RESULTS = "PARLOR_FAULT_RESULTS"
ROUNDS = int(os.environ.get("PARLOR_FAULT_ROUNDS", "1"))
PATIENCE_S = 120.0
ENDED = "('succeeded', 'failed', 'cancelled')"


def rounds(most: int) -> int:
    """How often a scenario is to be done, of which more than `most` would show nothing new."""
    return min(ROUNDS, most)


@dataclass(frozen=True, slots=True)
class Tally:
    """One line. Tasks are kept that succeeded and were told once, told apart by the event's id; lost, without an end.

    `recovery_s` is None where the clocks that it would be read from jumped.
    """

    fault: str
    times: int
    sent: int
    kept: int
    doubled: int
    lost: int
    again: int
    recovery_s: float | None
    what: str = "tasks"

    def __str__(self) -> str:
        return (
            f"{self.fault}: {self.times} times, {self.what} sent {self.sent}, kept {self.kept}, "
            f"doubled {self.doubled}, lost {self.lost}, repeated {self.again}, longest recovery {self.recovery}"
        )

    @property
    def recovery(self) -> str:
        return "-" if self.recovery_s is None else f"{self.recovery_s:.1f} s"

    @property
    def clean(self) -> bool:
        """Whether all that was sent was kept, and nothing is there twice."""
        return (self.kept, self.doubled, self.lost) == (self.sent, 0, 0)

    def tell(self) -> Self:
        """Print it, and keep it for the page."""
        print(f"\n{self}")
        if path := os.environ.get(RESULTS):
            with Path(path).open("a") as results:
                results.write(json.dumps(asdict(self) | {"recovery": self.recovery}) + "\n")
        return self


class Subscriber:
    """A foreign service's durable queue on the exchange of events. It outlives connections and restarts."""

    def __init__(self, fleet: Fleet) -> None:
        self._url = fleet.rabbitmq_url
        self._queue = f"{fleet.namespace}.heard"
        self.ends: dict[str, set[str]] = {}
        with self._channel() as channel:
            channel.queue_declare(self._queue, durable=True)
            channel.queue_bind(self._queue, f"{fleet.namespace}.events", "tasks.#")

    def drain(self) -> None:
        """Read what has come."""
        with self._channel() as channel:
            while True:
                method, properties, body = channel.basic_get(self._queue, auto_ack=True)
                if method is None:
                    return
                told = json.loads(body)
                self.ends.setdefault(told["task_id"], set()).add(properties.headers["cloudEvents:id"])

    def close(self) -> None:
        with self._channel() as channel:
            channel.queue_delete(self._queue)

    @contextmanager
    def _channel(self) -> Iterator[Any]:
        connection = pika.BlockingConnection(pika.URLParameters(self._url))
        try:
            yield connection.channel()
        finally:
            connection.close()


class Score:
    """Follows the tasks of one scenario: `sent` and `faults` are for it to fill in, and whether clocks can be read."""

    def __init__(self, fleet: Fleet, fault: str) -> None:
        self._fleet = fleet
        self._fault = fault
        self._subscriber = Subscriber(fleet)
        self.sent: list[str] = []
        self.faults: list[datetime] = []
        self.timed = True
        self._replaced: dict[datetime, datetime] = {}

    def struck(self) -> None:
        """Note the moment from which recovery counts: of a kill, or of a server's coming back."""
        self.faults.append(datetime.now(UTC))

    def replaced(self) -> None:
        """Note that what takes the place of the killed one is up: recovery counts from here."""
        self._replaced[self.faults[-1]] = datetime.now(UTC)

    async def settle(self, within: float = PATIENCE_S) -> Tally:
        """Wait until all has ended and been told, or that long; then count, print, keep and answer the line."""
        async with self._fleet.database() as database:
            with suppress(AssertionError):  # what has not ended by then is counted as lost
                await eventually(lambda: _is_over(database, len(self.sent)), within=within)
            rows = await database.fetch("select id, status, attempts, created_at, finished_at from tasks")
        self._subscriber.drain()
        return self._tally(rows).tell()

    def close(self) -> None:
        self._subscriber.close()

    def _tally(self, rows: Sequence[asyncpg.Record]) -> Tally:
        ended = {str(row["id"]) for row in rows if row["finished_at"] is not None}
        succeeded = {str(row["id"]) for row in rows if row["status"] == "succeeded"}
        ends = {task_id: len(self._subscriber.ends.get(task_id, ())) for task_id in self.sent}
        strangers = {str(row["id"]) for row in rows} - set(self.sent)
        assert not strangers, f"tasks that nobody was told of: {strangers}"
        return Tally(
            fault=self._fault,
            times=len(self.faults),
            sent=len(self.sent),
            kept=sum(count == 1 for task_id, count in ends.items() if task_id in succeeded),
            doubled=sum(count > 1 for count in ends.values()),
            lost=len(set(self.sent) - ended),
            again=sum(max(0, row["attempts"] - 1) for row in rows),
            recovery_s=max((self._recovery(row) for row in rows), default=0.0) if self.timed else None,
        )

    def _recovery(self, row: asyncpg.Record) -> float:
        """How long a task that was open when a fault struck took from there; the last one before its end counts."""
        born, end = row["created_at"], row["finished_at"]
        struck = [at for at in self.faults if end is not None and born < at < end]
        if not struck:
            return 0.0
        since = self._replaced.get(max(struck), max(struck))
        return float(max(0.0, (end - since).total_seconds()))


async def _is_over(database: Any, sent: int) -> bool:
    """Whether every row has ended and no event waits to be told."""
    return bool(
        await database.fetchval(
            f"""select (select count(*) from tasks where status in {ENDED}) >= $1
                   and not exists (select from event_outbox)""",
            sent,
        )
    )
