"""PostgreSQL goes and comes back: clear errors meanwhile, and nobody has to be started again."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.fleet import Fleet, a_fleet, signed_in
from tests.servers.postgres import Postgres
from tests.servers.redis import Redis
from tests.servers.session import shared_url
from tests.waiting import eventually

CARD = {"kind": "truth_or_dare", "payload": {}}


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with Postgres() as postgres:
        yield postgres


@pytest.fixture(scope="module")
def redis() -> Iterator[Redis]:
    with Redis() as redis:
        yield redis


@pytest.fixture
async def fleet(postgres: Postgres, redis: Redis, tmp_path: Path) -> AsyncIterator[Fleet]:
    async with a_fleet(postgres.url, redis.url, shared_url("rabbitmq"), tmp_path) as fleet:
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


async def test_without_redis_everything_works(fleet: Fleet, redis: Redis) -> None:
    api, _ = await fleet.serve(), await fleet.worker()
    async with signed_in(api.base) as me:
        await asyncio.to_thread(redis.kill)
        try:
            for _ in range(20):
                assert (await me.get("/users/me")).status_code == 200
            assert await succeeds(me)
            assert (await me.get(f"{api.base}/readyz")).json()["status"] == "degraded"
            assert (await me.post("/auth/logout")).status_code == 204
            assert (await me.get("/users/me")).status_code == 401
        finally:
            await asyncio.to_thread(redis.start)
