"""PostgreSQL goes and comes back: clear errors meanwhile, and nobody has to be started again."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import httpx
import pytest

from tests.faults.chatting import Follower, House, Writer, tally
from tests.faults.score import Score, rounds
from tests.faults.services import CARD, cards, order_cards, pile_up
from tests.fleet import Fleet, a_fleet, signed_in
from tests.servers import Postgres
from tests.servers.session import shared_url
from tests.waiting import PATIENCE_S, eventually

A_BATCH = 300
MESSAGES = 30


@pytest.fixture
async def fleet(postgres: Postgres, tmp_path: Path) -> AsyncIterator[Fleet]:
    servers = (postgres.url, shared_url("redis"), shared_url("rabbitmq"))
    async with a_fleet(*servers, tmp_path) as fleet:
        yield fleet


def unexpected(log: str) -> list[str]:
    """The log's lines about errors that nobody foresaw."""
    return [line for line in log.splitlines() if "unexpected_error" in line]


def requests(me: httpx.AsyncClient, count: int) -> list[Awaitable[httpx.Response]]:
    """Write and read, so many times each."""
    return [request for _ in range(count) for request in (me.post("/tasks", json=CARD), me.get("/tasks"))]


async def succeeds(me: httpx.AsyncClient) -> bool:
    """Whether a task that is ordered now comes to its end."""
    accepted = await me.post("/tasks", json=CARD)
    if accepted.status_code != 202:
        return False
    task = await me.get(f"/tasks/{accepted.json()['id']}", params={"wait": 20})
    return bool(task.status_code == 200 and task.json()["status"] == "succeeded")


async def test_a_restarted_database_is_a_clear_error_and_then_no_more(
    fleet: Fleet, postgres: Postgres
) -> None:
    api, worker = await fleet.serve(), await fleet.worker()
    async with signed_in(api.base) as me:
        assert await succeeds(me)
        killing = asyncio.create_task(asyncio.to_thread(postgres.kill))
        during = [answer for _ in range(10) for answer in await asyncio.gather(*requests(me, 10))]
        await killing
        after = await asyncio.gather(*requests(me, 10))
        for answer in (*during, *after):
            assert answer.status_code in {200, 202, 503}, unexpected(api.log.read_text())
        for answer in after:
            assert answer.status_code == 503
            assert answer.headers["Retry-After"].isdigit()
            assert answer.headers["Content-Type"] == "application/problem+json"
        assert (await me.get(f"{api.base}/healthz")).status_code == 200
        unready = await me.get(f"{api.base}/readyz")
        assert (unready.status_code, unready.json()["status"]) == (503, "unready")
        await asyncio.to_thread(postgres.start)
        await eventually(lambda: succeeds(me), within=60)
    assert worker.child.poll() is None


async def test_a_restarted_database_loses_no_task(
    fleet: Fleet, postgres: Postgres, scored: Callable[[Fleet, str], Score]
) -> None:
    """Whoever is refused meanwhile repeats the order under its key; what was accepted before is run."""
    api, _ = await fleet.serve(), await fleet.worker()
    score = scored(fleet, "PostgreSQL killed and started again")
    async with signed_in(api.base) as me:
        for _ in range(rounds(10)):
            score.sent += await pile_up(fleet, cards(A_BATCH))
            ordering = asyncio.create_task(order_cards(me, A_BATCH // 3))
            await asyncio.to_thread(postgres.kill)
            await asyncio.to_thread(postgres.start)
            score.struck()
            score.sent += await ordering
        assert (await score.settle()).clean


def has_said(writer: Writer, count: int) -> bool:
    return len(writer.said) > count


async def test_a_restarted_database_loses_no_message_and_every_listener_catches_up(
    fleet: Fleet, postgres: Postgres
) -> None:
    """Whoever is refused repeats with the same `client_id`; whoever listens stays or comes back, and misses nothing."""
    house = House([await fleet.serve()])
    struck: list[datetime] = []
    async with signed_in(house.processes[0].base) as ada:
        chat = (await ada.post("/chats", json={"kind": "group", "member_ids": []})).json()["id"]
        writers = [Writer(ada, house, chat, number, pause_s=0.02) for number in range(4)]
        followers = [Follower(ada, house, chat) for _ in range(4)]
        last_rev: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        following = [asyncio.create_task(follower.run(last_rev)) for follower in followers]
        turns = MESSAGES * rounds(10)
        writing = [asyncio.create_task(writer.run(turns)) for writer in writers]
        for number in range(rounds(10)):
            due = MESSAGES * number + MESSAGES // 3
            await eventually(partial(has_said, writers[0], due), within=60)
            await asyncio.to_thread(postgres.kill)
            await asyncio.to_thread(postgres.start)
            struck.append(datetime.now(UTC))
        await asyncio.gather(*writing)
        last_rev.set_result((await ada.get(f"/chats/{chat}")).json()["last_rev"])
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*following)
    said = {message_id for writer in writers for message_id in writer.said}
    assert [set(follower.state) for follower in followers] == [said] * len(followers)
    async with fleet.database() as database:
        stored = [row["client_id"] for row in await database.fetch("select client_id from messages")]
    assert (
        tally("PostgreSQL killed and started again, under a live chat", writers, stored, struck).tell().clean
    )
    assert "unexpected_error" not in house.processes[0].log.read_text()
