"""A clock jumps by an hour, ahead and back: nothing is lost or run twice, nobody stays out, no schedule bursts."""

import asyncio
import random
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from parlor.entrypoints.embedded import children
from tests.faults.clocks import AN_HOUR, WallClock, a_wall_clock
from tests.faults.score import Score, rounds
from tests.faults.services import CARD, UNAVAILABLE, a_service, enqueue, permit_http_requests
from tests.fleet import NO_TLS, PASSWORD, Fleet, a_fleet
from tests.servers import Postgres
from tests.servers.processes import temporary_folder
from tests.servers.session import shared_url
from tests.waiting import PATIENCE_S, eventually
from tests.wire import a_wire

JUMPS = (AN_HOUR, 0, -AN_HOUR, 0)
TASKS_A_JUMP = 15
EVERY_MINUTE = {"name": "Cards", "cron": "* * * * *", **CARD}
MADE = "select id from tasks where schedule_id is not null"
REFUSED = 401


@dataclass
class Guest:
    """Somebody who is signed in, and whose client refreshes a refused token, and repeats what was unavailable."""

    http: httpx.AsyncClient
    pair: dict[str, Any]

    async def post(self, path: str, json: object = None) -> httpx.Response:
        async with asyncio.timeout(PATIENCE_S):
            key = uuid4().hex
            while True:
                answer = await self._send("POST", path, json, {"Idempotency-Key": key})
                if answer.status_code == REFUSED:
                    await self._refresh()
                elif answer.status_code != UNAVAILABLE:
                    return answer

    async def can_listen(self) -> None:
        """Hold a live connection with a new ticket."""
        assert (await self.post("/realtime/tickets")).status_code == 201
        async with a_wire(self.http) as wire:
            await wire.say("ping")
            await wire.hear("pong")

    async def _refresh(self) -> None:
        asked = {"refresh_token": self.pair["refresh_token"]}
        answer = await self._send("POST", "/auth/refresh", asked, {"Authorization": ""})
        assert answer.status_code == 200, answer.text
        self.pair = answer.json()

    async def _send(self, method: str, path: str, json: object, headers: dict[str, str]) -> httpx.Response:
        self.http.headers["Authorization"] = f"Bearer {self.pair['access_token']}"
        kept = {name: value for name, value in headers.items() if value}
        request = self.http.build_request(method, path.lstrip("/"), json=json, headers=kept)
        if "Authorization" in headers:
            del request.headers["Authorization"]
        return await self.http.send(request)


@asynccontextmanager
async def a_guest(base: str) -> AsyncIterator[Guest]:
    account = {"email": f"{uuid4().hex}@example.org", "password": PASSWORD}
    async with httpx.AsyncClient(
        base_url=f"{base}/api/v1/", trust_env=False, verify=NO_TLS, timeout=40
    ) as client:
        assert (await client.post("auth/register", json=account)).status_code == 201
        yield Guest(client, (await client.post("auth/login", json=account)).json())


@pytest.fixture
def clock() -> Iterator[WallClock]:
    folder = temporary_folder("clock")
    yield a_wall_clock(folder)
    shutil.rmtree(folder, ignore_errors=True)


async def test_the_clock_of_the_api_and_of_the_worker_jumps(
    fleet: Fleet, clock: WallClock, scored: Callable[[Fleet, str], Score]
) -> None:
    """What a schedule missed in an hour that never was is made once."""
    score = scored(fleet, "the API's and the worker's clock jump by an hour")
    fleet.settings |= clock.settings
    made = await jumping(fleet, clock, score, fires=True)
    assert made >= 1


async def test_the_clock_of_the_database_jumps(
    clock: WallClock, tmp_path: Path, scored: Callable[[Fleet, str], Score], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Leases end early, and what still runs then is refused; or they hold longer, and are renewed all the same."""
    handed_down = children.environment()
    with monkeypatch.context() as patch:
        patch.setattr(children, "environment", lambda: {**handed_down, **clock.settings})
        postgres = Postgres()
        postgres.start()
    try:
        async with a_fleet(postgres.url, shared_url("redis"), shared_url("rabbitmq"), tmp_path) as fleet:
            score = scored(fleet, "the database's clock jumps by an hour")
            score.timed = False
            await jumping(fleet, clock, score, fires=False)
    finally:
        clock.jump_to(0)
        postgres.close()


async def jumping(fleet: Fleet, clock: WallClock, score: Score, *, fires: bool) -> int:
    """Jump under load, there and back; answers how many tasks the schedule made."""
    begun = time.monotonic()
    async with a_service(lambda: random.uniform(0, 1.5)) as destination, fleet.database() as database:
        await permit_http_requests(fleet, destination)
        api, worker = await fleet.serve(), await fleet.worker()
        async with a_guest(api.base) as guest:
            assert (await guest.post("/schedules", EVERY_MINUTE)).status_code == 201
            for jump in JUMPS * rounds(3):
                sending = asyncio.create_task(enqueue(guest, destination, TASKS_A_JUMP, max_attempts=50))
                await asyncio.sleep(random.uniform(0, 0.2))  # the jitter is the test: a moment nobody chose
                clock.jump_to(jump)
                score.struck()
                score.sent += [*await sending, await soon_due(guest)]
                await guest.can_listen()
                if fires and jump == AN_HOUR:
                    await eventually(lambda: database.fetchval(f"select exists ({MADE})"))
            made = {str(row["id"]) for row in await database.fetch(MADE)}
            score.sent += made
            # Another minute may begin between this and the end.
            await database.execute("update schedules set enabled = false, next_run_at = null")
            assert len(made) <= rounds(3) + (time.monotonic() - begun) // 60 + 1
            assert (await score.settle()).clean
        assert "unexpected_error" not in api.log.read_text() + worker.log.read_text()
    return len(made)


async def soon_due(guest: Guest) -> str:
    """Order a task for half a second later, by the true time."""
    due = (datetime.now(UTC) + timedelta(seconds=0.5)).isoformat()
    answer = await guest.post("/tasks", CARD | {"run_at": due})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])
