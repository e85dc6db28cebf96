"""Whoever watches a task keeps watching while PostgreSQL is away, and sees what came of it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.fleet import Fleet, a_fleet, signed_in
from tests.servers.postgres import Postgres
from tests.servers.session import shared_url
from tests.sse import events
from tests.waiting import eventually


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with Postgres() as postgres:
        yield postgres


@pytest.fixture
async def fleet(postgres: Postgres, tmp_path: Path) -> AsyncIterator[Fleet]:
    async with a_fleet(postgres.url, shared_url("redis"), shared_url("rabbitmq"), tmp_path) as fleet:
        yield fleet


async def test_a_stream_outlives_a_restart_of_the_database(fleet: Fleet, postgres: Postgres) -> None:
    api = await fleet.serve()
    async with signed_in(api.base) as me:
        task_id = (await me.post("/tasks", json={"kind": "truth_or_dare", "payload": {}})).json()["id"]
        async with me.stream("GET", f"/tasks/{task_id}/events") as answer:
            told = events(answer)
            assert (await anext(told)).task["status"] == "queued"
            await asyncio.to_thread(postgres.kill)
            refused = await me.get(f"/tasks/{task_id}/events")
            assert (refused.status_code, refused.headers["content-type"]) == (503, "application/problem+json")
            assert (await me.post("/realtime/tickets")).status_code == 503
            await asyncio.to_thread(postgres.start)
            await fleet.worker()
            assert [event.task["status"] async for event in told][-1] == "succeeded"
        await eventually(lambda: '"route":"/api/v1/tasks/{task_id}/events"' in api.log.read_text())
    assert "Traceback" not in api.log.read_text()
    assert "unexpected_error" not in api.log.read_text()
