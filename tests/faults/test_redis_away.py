"""Redis goes, for good: everything works, only slower; nothing is refused that was not, nor let in that was not."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from tests.faults.chatting import Follower, House, Writer, tally
from tests.faults.score import Score, rounds
from tests.faults.services import CARD, order_cards
from tests.fleet import NO_TLS, Fleet, Process, a_fleet, signed_in
from tests.servers import Redis
from tests.servers.session import shared_url
from tests.waiting import PATIENCE_S, eventually

TASKS_A_ROUND = 40
MESSAGES = 30
GUESSES = 25


@pytest.fixture
async def fleet(redis: Redis, tmp_path: Path, template: str) -> AsyncIterator[Fleet]:
    servers = (shared_url("postgres"), redis.url, shared_url("rabbitmq"))
    async with a_fleet(*servers, tmp_path, template=template) as fleet:
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


async def test_without_redis_chats_stay_live_and_guesses_stay_counted(fleet: Fleet, redis: Redis) -> None:
    """On two processes, which hear nothing of each other then; no request meets an error of the server's."""
    fleet.settings["PARLOR_THROTTLE_SCALE"] = "1"
    house = House(list(await asyncio.gather(fleet.serve(), fleet.serve())))
    struck: list[datetime] = []
    async with signed_in(house.processes[0].base) as ada:
        chat = (await ada.post("/chats", json={"kind": "group", "member_ids": []})).json()["id"]
        writers = [Writer(ada, house, chat, number, pause_s=0.05) for number in range(2)]
        followers = [Follower(ada, house, chat) for _ in range(4)]
        last_rev: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        following = [asyncio.create_task(follower.run(last_rev)) for follower in followers]
        writing = [asyncio.create_task(writer.run(MESSAGES * rounds(10))) for writer in writers]
        await eventually(lambda: len(writers[0].said) > MESSAGES // 3)
        await asyncio.to_thread(redis.kill)
        struck.append(datetime.now(UTC))
        try:
            await asyncio.gather(*writing)
            last_rev.set_result((await ada.get(f"/chats/{chat}")).json()["last_rev"])
            async with asyncio.timeout(PATIENCE_S):
                await asyncio.gather(*following)
            guesses = [await guess(house.any()) for _ in range(GUESSES)]
        finally:
            await asyncio.to_thread(redis.start)
    assert set(guesses) == {401, 429}
    said = {message_id for writer in writers for message_id in writer.said}
    assert [set(follower.state) for follower in followers] == [said] * len(followers)
    assert sum(writer.again for writer in writers) == 0
    async with fleet.database() as database:
        stored = [row["client_id"] for row in await database.fetch("select client_id from messages")]
    assert tally("Redis gone for good, under a live chat", writers, stored, struck).tell().clean


async def guess(process: Process) -> int:
    """Try a password that is wrong."""
    asked = {"email": "ada@example.org", "password": "wrong horse 42"}
    async with httpx.AsyncClient(base_url=f"{process.base}/api/v1", trust_env=False, verify=NO_TLS) as client:
        return (await client.post("/auth/login", json=asked)).status_code
