"""`kill -9` of the worker under load: nothing is lost, nothing ends twice, and all of it soon.

`make faults` sets PARLOR_FAULT_ROUNDS, and prints what `make test` only asserts.
"""

import asyncio
import os
import random
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

from tests.faults.services import Subscriber, a_service, enqueue, permit_http_requests
from tests.fleet import Fleet, signed_in
from tests.waiting import eventually

ROUNDS = int(os.environ.get("PARLOR_FAULT_ROUNDS", "2"))
TASKS_A_ROUND = 60


async def test_a_killed_worker_loses_nothing_and_ends_nothing_twice(fleet: Fleet) -> None:
    kills: list[datetime] = []
    async with a_service(lambda: random.uniform(0, 0.3)) as destination:
        await permit_http_requests(fleet, destination)
        api, worker = await fleet.serve(), await fleet.worker()
        with closing(Subscriber(fleet)) as subscriber:
            async with signed_in(api.base) as me:
                sent: list[str] = []
                for _ in range(ROUNDS):
                    sending = asyncio.create_task(enqueue(me, destination, TASKS_A_ROUND, max_attempts=50))
                    await asyncio.sleep(
                        random.uniform(0.05, 1.0)
                    )  # the jitter is the test: a moment nobody chose
                    worker.kill()
                    kills.append(datetime.now(UTC))
                    worker = await fleet.worker()
                    sent += await sending
            await eventually(lambda: subscriber.drain() == len(sent), within=120)
            async with fleet.database() as database:
                rows = await database.fetch("select id, status, attempts, finished_at from tasks")
    ended = Counter(len(events) for events in subscriber.ends.values())
    report(len(sent), ended, rows, kills)
    assert {str(row["id"]) for row in rows if row["status"] == "succeeded"} == set(sent)
    assert ended == {1: len(sent)}


def report(sent: int, ended: Counter[int], rows: Any, kills: list[datetime]) -> None:
    """Say it in numbers; the recovery of a task that lost an attempt counts from the last kill before its end."""
    late = [row["finished_at"] for row in rows if row["attempts"] > 1 and row["finished_at"]]
    recoveries = [
        min((at - kill).total_seconds() for kill in kills if kill < at) for at in late if at > kills[0]
    ]
    print(
        f"\nkill -9 worker: rounds {ROUNDS}, sent {sent}, ended once {ended[1]}, "
        f"ended twice {sum(count for times, count in ended.items() if times > 1)}, "
        f"lost {sent - sum(ended.values())}, attempts lost {len(late)}, "
        f"longest recovery {max(recoveries, default=0):.1f} s"
    )
