"""Watching a task from outside: several processes, tickets, a process that ends, no Redis."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from tests.fleet import Fleet, Process, signed_in
from tests.sse import Block, events
from tests.waiting import eventually

CARD = {"kind": "truth_or_dare", "payload": {"mode": "dare"}}
NOBODY = "redis://127.0.0.1:1/"


async def ordered(me: httpx.AsyncClient, **order: object) -> str:
    answer = await me.post("/tasks", json={**CARD, **order})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


async def ticket_for(me: httpx.AsyncClient) -> str:
    answer = await me.post("/realtime/tickets")
    assert (answer.status_code, answer.json()["expires_in"]) == (201, 30)
    return str(answer.json()["ticket"])


@asynccontextmanager
async def watching(
    api: Process, task_id: str, headers: Any = None, **query: str
) -> AsyncIterator[httpx.Response]:
    """Open a stream on one process, as a browser would: on a connection of its own."""
    async with httpx.AsyncClient(trust_env=False, timeout=40) as browser:
        address = f"{api.base}/api/v1/tasks/{task_id}/events"
        async with browser.stream("GET", address, params=query, headers=headers) as answer:
            yield answer


async def watched(api: Process, task_id: str, ticket: str, told: list[Block]) -> None:
    """Watch to the end, and keep what was told."""
    async with watching(api, task_id, ticket=ticket) as answer:
        async for event in events(answer):
            told.append(event)  # noqa: PERF401 - others look at it meanwhile


@pytest.mark.parametrize("redis", ["there", "away"])
async def test_every_process_shows_a_task_to_its_end(fleet: Fleet, redis: str) -> None:
    if redis == "away":
        fleet.redis_url = NOBODY
    one, other = await fleet.serve(), await fleet.serve()
    seen: list[list[Block]] = [[], [], [], []]
    async with signed_in(one.base) as me:
        task_id = await ordered(me)
        async with asyncio.TaskGroup() as watchers:
            for number, told in enumerate(seen):
                api = (one, other)[number % 2]
                watchers.create_task(watched(api, task_id, await ticket_for(me), told))
            await eventually(lambda: all(seen))
            await fleet.worker()
        end = await me.get(f"/tasks/{task_id}")
    assert end.json()["status"] == "succeeded"
    for told in seen:
        assert told[0].task["status"] == "queued"
        assert told[-1].data == end.content
        versions = [event.id for event in told]
        assert versions == sorted(set(versions))


async def test_a_ticket_counts_once_on_any_process_and_stands_in_no_log(fleet: Fleet) -> None:
    one, other = await fleet.serve(), await fleet.serve()
    async with signed_in(one.base) as me:
        task_id, ticket = await ordered(me), await ticket_for(me)
        answers = await asyncio.gather(*(status(api, task_id, ticket) for api in (one, other) * 10))
        unused = await ticket_for(me)
        assert (await me.post("/auth/logout")).status_code == 204
    assert sorted(answers) == [200] + [401] * 19
    assert await status(other, task_id, unused) == 401
    for api in (one, other):
        log = api.log.read_text()
        assert "/tasks/{task_id}/events" in log
        assert ticket not in log
        assert unused not in log


async def status(api: Process, task_id: str, ticket: str) -> int:
    async with watching(api, task_id, ticket=ticket) as answer:
        return answer.status_code


async def test_a_process_that_ends_hands_its_watchers_to_another(fleet: Fleet) -> None:
    fleet.settings["PARLOR_DRAIN_S"] = "3600"
    one, other = await fleet.serve(), await fleet.serve()
    async with signed_in(other.base) as me:
        task_id = await ordered(me)
        credential = {"Authorization": me.headers["Authorization"]}
        async with watching(one, task_id, headers=credential) as answer:
            told = events(answer)
            first = await anext(told)
            await one.stop()
            assert [event async for event in told] == []
        resumed = {**credential, "Last-Event-ID": str(first.id)}
        async with watching(other, task_id, headers=resumed) as answer:
            await fleet.worker()
            later = [event async for event in events(answer)]
        assert later[-1].task["status"] == "succeeded"
        assert later[0].id > first.id
        seen = {**credential, "Last-Event-ID": str(later[-1].id)}
        async with watching(other, task_id, headers=seen) as answer:
            assert answer.status_code == 204
