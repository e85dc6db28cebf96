"""Redis goes, for good: everything works, only slower."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.faults.score import Score, rounds
from tests.faults.services import CARD, order_cards
from tests.fleet import Fleet, a_fleet, signed_in
from tests.servers import Redis
from tests.servers.session import shared_url

TASKS_A_ROUND = 40


@pytest.fixture
async def fleet(redis: Redis, tmp_path: Path) -> AsyncIterator[Fleet]:
    servers = (shared_url("postgres"), redis.url, shared_url("rabbitmq"))
    async with a_fleet(*servers, tmp_path) as fleet:
        yield fleet


async def test_without_redis_everything_works(
    fleet: Fleet, redis: Redis, scored: Callable[[Fleet, str], Score]
) -> None:
    api, _ = await fleet.serve(), await fleet.worker()
    score = scored(fleet, "Redis gone for good")
    async with signed_in(api.base) as me:
        ordering = asyncio.create_task(order_cards(me, TASKS_A_ROUND))
        await asyncio.to_thread(redis.kill)
        score.struck()
        try:
            score.sent += await ordering
            for _ in range(rounds(10)):
                score.sent += await order_cards(me, TASKS_A_ROUND)
            last = await me.post("/tasks", json=CARD)
            score.sent.append(last.json()["id"])
            task = (await me.get(f"/tasks/{score.sent[-1]}", params={"wait": 20})).json()
            assert task["status"] == "succeeded"
            assert (await score.settle()).clean
            assert (await me.get("/users/me")).status_code == 200
            assert (await me.get(f"{api.base}/readyz")).json()["status"] == "degraded"
            assert (await me.post("/auth/logout")).status_code == 204
            assert (await me.get("/users/me")).status_code == 401
        finally:
            await asyncio.to_thread(redis.start)
