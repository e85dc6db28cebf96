"""A worker that is asked to stop, one that freezes past its lease, and a relay that works alone."""

import signal
from collections.abc import Awaitable, Callable
from typing import Any

from tests.faults.score import Score, rounds
from tests.faults.services import a_service, enqueue, permit_http_requests
from tests.fleet import Fleet, signed_in
from tests.waiting import eventually

TASKS_A_ROUND = 32  # the prefetch of their queue: a frozen worker has no room for what is put back
ALL_RUN = "select count(*) = $1 from tasks where status = 'running'"
NONE_LEFT = "select not exists (select from tasks where finished_at is null)"


def in_state(database: Any, task_id: str, state: str) -> Callable[[], Awaitable[bool]]:
    async def asked() -> bool:
        return bool(await database.fetchval("select status = $2 from tasks where id = $1", task_id, state))

    return asked


async def test_a_shutdown_gives_back_what_still_runs_without_spending_its_attempt(fleet: Fleet) -> None:
    slowness = [60.0]
    fleet.settings["PARLOR_DRAIN_S"] = "0.3"
    async with a_service(lambda: slowness[0]) as destination, fleet.database() as database:
        await permit_http_requests(fleet, destination)
        api, worker = await fleet.serve(), await fleet.worker()
        async with signed_in(api.base) as me:
            [task_id] = await enqueue(me, destination, 1, max_attempts=1)
            await eventually(in_state(database, task_id, "running"))
            assert await worker.stop() == 0
            row = await database.fetchrow("select status, attempts from tasks where id = $1", task_id)
            assert tuple(row) == ("queued", 0)
            slowness[0] = 0.0
            await fleet.worker()
            task = (await me.get(f"/tasks/{task_id}", params={"wait": 20})).json()
    assert (task["status"], task["attempts"]) == ("succeeded", 1)


async def test_a_shutdown_lets_what_is_nearly_done_end(fleet: Fleet) -> None:
    async with a_service(lambda: 0.5) as destination, fleet.database() as database:
        await permit_http_requests(fleet, destination)
        api, worker = await fleet.serve(), await fleet.worker()
        async with signed_in(api.base) as me:
            [task_id] = await enqueue(me, destination, 1)
            await eventually(in_state(database, task_id, "running"))
            assert await worker.stop() == 0
            row = await database.fetchrow("select status, attempts from tasks where id = $1", task_id)
    assert tuple(row) == ("succeeded", 1)


async def test_what_a_frozen_worker_still_wants_to_say_is_refused(
    fleet: Fleet, scored: Callable[[Fleet, str], Score]
) -> None:
    """Its leases are over, another worker has run the tasks, and the fence lets nothing of the first one in."""
    slowness = [5.0]
    async with a_service(lambda: slowness[0]) as destination, fleet.database() as database:
        await permit_http_requests(fleet, destination)
        api, frozen = await fleet.serve(), await fleet.worker("--no-relay")
        await fleet.relay()
        score = scored(fleet, "a worker frozen past its lease, and continued")
        async with signed_in(api.base) as me:
            for _ in range(rounds(3)):
                slowness[0] = 5.0
                sent = await enqueue(me, destination, TASKS_A_ROUND)
                await eventually(lambda: database.fetchval(ALL_RUN, TASKS_A_ROUND))
                frozen.signal(signal.SIGSTOP)
                score.struck()
                slowness[0] = 0.0
                other = await fleet.worker("--no-relay")
                await eventually(lambda: database.fetchval(NONE_LEFT), within=60)
                before = await database.fetch("select * from tasks order by id")
                frozen.signal(signal.SIGCONT)
                assert await frozen.stop() == 0
                assert await database.fetch("select * from tasks order by id") == before
                assert [row["attempts"] for row in before][-TASKS_A_ROUND:] == [2] * TASKS_A_ROUND
                score.sent += sent
                frozen = other
            assert (await score.settle()).clean


async def test_a_relay_of_its_own_feeds_a_worker_that_has_none(fleet: Fleet) -> None:
    api, _ = await fleet.serve(), await fleet.worker("--no-relay", "--no-timers")
    async with signed_in(api.base) as me:
        task_id = (await me.post("/tasks", json={"kind": "truth_or_dare", "payload": {}})).json()["id"]
        await fleet.relay()
        task = (await me.get(f"/tasks/{task_id}", params={"wait": 20})).json()
    assert task["status"] == "succeeded"
