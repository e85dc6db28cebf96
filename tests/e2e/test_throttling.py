"""Strangers at the door of two processes, with a proxy in front, and Redis killed in the middle."""

import asyncio
import secrets
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import cycle
from pathlib import Path

import httpx
import pytest

from tests.fleet import PASSWORD, Process, a_fleet
from tests.servers import Redis
from tests.servers.session import shared_url

HOME = "198.51.100.7"
THROTTLED, WRONG, RIGHT = 429, 401, 200
FREE, DOUBLINGS = 10, 6  # and what the waits let in within a minute, should the machine be that slow


@pytest.fixture
def redis() -> Iterator[Redis]:
    """Start a Redis of this test's own, to kill."""
    with Redis() as redis:
        yield redis


class Door:
    """Every process in turn, entered through the proxy."""

    def __init__(self, client: httpx.AsyncClient, processes: Sequence[Process]) -> None:
        self._client = client
        self._turn = cycle(processes)

    async def post(self, path: str, source: str, **body: str) -> httpx.Response:
        url = f"{next(self._turn).base}/api/v1{path}"
        return await self._client.post(url, json=body, headers={"X-Forwarded-For": f"192.0.2.1, {source}"})

    async def log_in(self, email: str, password: str, source: str | None = None) -> httpx.Response:
        return await self.post("/auth/login", source or anywhere(), email=email, password=password)

    async def guesses(self, email: str, count: int) -> list[httpx.Response]:
        """Try wrong passwords, each from another address."""
        return [await self.log_in(email, f"guess {number}") for number in range(count)]


def anywhere() -> str:
    return f"2001:db8:{secrets.token_hex(2)}:{secrets.token_hex(2)}::{secrets.token_hex(2)}"


def statuses(answers: Sequence[httpx.Response]) -> Counter[int]:
    return Counter(answer.status_code for answer in answers)


def told(answer: httpx.Response) -> str:
    """Give what an answer says, but for its own id."""
    return answer.text.replace(answer.json()["request_id"], "")


async def test_a_stranger_is_throttled_wherever_they_ask_and_the_owner_comes_in(
    redis: Redis, template: str, tmp_path: Path
) -> None:
    settings = {"PARLOR_THROTTLE_SCALE": "1", "PARLOR_TRUSTED_PROXIES": "127.0.0.0/8"}
    servers = (shared_url("postgres"), redis.url, shared_url("rabbitmq"))
    async with (
        a_fleet(*servers, tmp_path, template=template, **settings) as fleet,
        httpx.AsyncClient(trust_env=False, timeout=40) as client,
    ):
        door = Door(client, await asyncio.gather(fleet.serve(), fleet.serve()))
        email, nobody = "ada@example.org", "nobody@example.org"
        await door.post("/auth/register", HOME, email=email, password=PASSWORD)
        assert (await door.log_in(email, PASSWORD, HOME)).status_code == RIGHT
        hers, nobodys = await door.guesses(email, 30), await door.guesses(nobody, 30)
        for answers in (hers, nobodys):
            assert statuses(answers[:FREE]) == {WRONG: FREE}
            assert statuses(answers)[THROTTLED] >= 30 - FREE - DOUBLINGS
        assert {*map(told, hers)} == {*map(told, nobodys)}
        assert (await door.log_in(email, PASSWORD, HOME)).status_code == RIGHT

        redis.kill()
        again = await door.guesses(email, 10) + await door.guesses("bob@example.org", 40)
        assert set(statuses(again)) == {WRONG, THROTTLED}
        assert statuses(again)[WRONG] <= DOUBLINGS + 2 * (FREE + DOUBLINGS)
        assert (await door.log_in(email, PASSWORD, HOME)).status_code == RIGHT
