"""What the tasks of these tests do, and how they are ordered."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing, suppress
from functools import partial
from typing import Any

import httpx

from parlor.adapters.sql.engine import Database
from parlor.core.shared.ids import uuid7
from parlor.core.tasks.model import Task
from tests.builders import a_requester, a_task, an_actor
from tests.fleet import Fleet
from tests.sql import Sql
from tests.waiting import eventually

CARD = {"kind": "truth_or_dare", "payload": {}}
UNAVAILABLE = 503


@asynccontextmanager
async def a_service(slow_s: Callable[[], float]) -> AsyncIterator[str]:
    """Answer each request after a while; the answer is where."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer), suppress(asyncio.IncompleteReadError, ConnectionError):  # its caller was killed
            await reader.readuntil(b"\r\n\r\n")
            await asyncio.sleep(slow_s())
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok")

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def enqueue(me: Any, destination: str, count: int, **more: Any) -> list[str]:
    """Have `count` calls made, a task each."""
    ids = []
    for number in range(count):
        order = {"kind": "http_request", "payload": {"url": f"http://{destination}/{number}"}, **more}
        answer = await me.post("/tasks", json=order)
        assert answer.status_code == 202, answer.text
        ids.append(answer.json()["id"])
    return ids


def cards(count: int, **fields: Any) -> list[Task]:
    """Make tasks of one person that are over at once."""
    person = a_requester(an_actor(user_id=uuid7()))
    return [a_task(**CARD | {"requested_by": person} | fields) for _ in range(count)]


async def pile_up(fleet: Fleet, tasks: list[Task]) -> list[str]:
    """Commit many tasks at once, so that the relay has whole batches to send."""
    database = Database(fleet.database_url, size=2, name="tests")
    await database.open()
    try:
        return [str(task_id) for task_id in await Sql(database).enqueue(*tasks)]
    finally:
        await database.close()


async def permit_http_requests(fleet: Fleet, destination: str) -> None:
    """Let everybody call the service: neither the kind nor the place is otherwise open to plain users."""
    fleet.settings["PARLOR_HTTP_ALLOW"] = destination
    async with fleet.database() as database:
        await database.execute(
            "update roles set permissions = permissions || '{tasks:create:http_request}' where name = 'user'"
        )


async def order_cards(me: httpx.AsyncClient, count: int) -> list[str]:
    """Order tasks that are over at once, by HTTP; whoever is refused for lack of a database repeats the order."""
    ids: list[str] = []
    for _ in range(count):
        await eventually(partial(_accepted, me, {"Idempotency-Key": uuid7().hex}, ids), within=60)
    return ids


async def _accepted(me: httpx.AsyncClient, key: dict[str, str], ids: list[str]) -> bool:
    answer = await me.post("/tasks", json=CARD, headers=key)
    if answer.status_code == UNAVAILABLE:
        return False
    assert answer.status_code == 202, answer.text
    ids.append(answer.json()["id"])
    return True
