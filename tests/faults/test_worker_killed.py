"""`kill -9` of the worker under load: nothing is lost, nothing ends twice, and all of it soon."""

import asyncio
import random
from collections.abc import Callable

from tests.faults.score import ROUNDS, Score
from tests.faults.services import a_service, enqueue, permit_http_requests
from tests.fleet import Fleet, signed_in

TASKS_A_ROUND = 60


async def test_a_killed_worker_loses_nothing_and_ends_nothing_twice(
    fleet: Fleet, scored: Callable[[Fleet, str], Score]
) -> None:
    async with a_service(lambda: random.uniform(0, 0.3)) as destination:
        await permit_http_requests(fleet, destination)
        api, worker = await fleet.serve(), await fleet.worker()
        score = scored(fleet, "`kill -9` of the worker")
        async with signed_in(api.base) as me:
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
            assert (await score.settle()).clean
