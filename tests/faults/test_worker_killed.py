"""`kill -9` of the worker under load: nothing is lost, nothing ends twice, and all of it soon."""

import asyncio
import random
from collections.abc import Callable

from tests.faults.score import ROUNDS, Score
from tests.faults.services import a_service, enqueue, permit_http_requests
from tests.fleet import Fleet, signed_in
from tests.waiting import eventually

TASKS_A_ROUND = 60
# A task that loses five workers in a row is given up. On a machine so busy that nothing ends between two kills, the
# same ones would be hit each time.
NOT_AGAIN = "select not exists (select from tasks where losses > 2 and finished_at is null)"


async def test_a_killed_worker_loses_nothing_and_ends_nothing_twice(
    fleet: Fleet, scored: Callable[[Fleet, str], Score]
) -> None:
    async with a_service(lambda: random.uniform(0, 0.3)) as destination:
        await permit_http_requests(fleet, destination)
        api, worker = await fleet.serve(), await fleet.worker()
        score = scored(fleet, "`kill -9` of the worker")
        async with signed_in(api.base) as me, fleet.database() as database:
            for _ in range(ROUNDS):
                sending = asyncio.create_task(enqueue(me, destination, TASKS_A_ROUND, max_attempts=50))
                await asyncio.sleep(
                    random.uniform(0.05, 1.0)
                )  # the jitter is the test: a moment nobody chose
                worker.kill()
                score.struck()
                worker = await fleet.worker()
                score.replaced()
                score.sent += await sending
                await eventually(lambda: database.fetchval(NOT_AGAIN), within=60)
            assert (await score.settle()).clean
