"""Two workers and two relays at once: whichever is killed, the others bring everything to its end."""

import asyncio
import random
from collections.abc import Callable

from tests.faults.score import Score, rounds
from tests.faults.services import a_service, enqueue, permit_http_requests
from tests.fleet import Fleet, signed_in

TASKS_A_ROUND = 80


async def test_the_ones_that_are_left_do_the_work_of_the_killed(
    fleet: Fleet, scored: Callable[[Fleet, str], Score]
) -> None:
    async with a_service(lambda: random.uniform(0, 0.3)) as destination:
        await permit_http_requests(fleet, destination)
        api = await fleet.serve()
        workers = [await fleet.worker("--no-relay") for _ in range(2)]
        relays = [await fleet.relay() for _ in range(2)]
        score = scored(fleet, "one of two workers and one of two relays killed")
        async with signed_in(api.base) as me:
            times = rounds(5)
            for number in range(times):
                sending = asyncio.create_task(enqueue(me, destination, TASKS_A_ROUND, max_attempts=50))
                await asyncio.sleep(
                    random.uniform(0.05, 0.5)
                )  # the jitter is the test: a moment nobody chose
                workers.pop(0).kill()
                relays.pop(0).kill()
                score.struck()
                score.sent += await sending
                if number + 1 < times:
                    workers.append(await fleet.worker("--no-relay"))
                    relays.append(await fleet.relay())
            assert (await score.settle()).clean
