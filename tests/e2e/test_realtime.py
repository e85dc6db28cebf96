"""Realtime from outside: two processes, and a real Redis between them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from tests.fleet import Process, a_fleet, signed_in
from tests.servers.session import shared_url
from tests.waiting import eventually
from tests.wire import a_wire, at

pytestmark = pytest.mark.asyncio(loop_scope="module")

Two = tuple[Process, Process]


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="two")
async def two_processes(tmp_path_factory: pytest.TempPathFactory, template: str) -> AsyncIterator[Two]:
    """Serve all tests of this file."""
    servers = (shared_url("postgres"), shared_url("redis"), shared_url("rabbitmq"))
    limits = {"PARLOR_BCRYPT_COST": "4", "PARLOR_THROTTLE_SCALE": "1000"}
    folder: Path = tmp_path_factory.mktemp("realtime")
    async with a_fleet(*servers, folder, template=template, **limits) as fleet:
        yield await asyncio.gather(fleet.serve(), fleet.serve())


async def test_what_is_done_on_one_process_reaches_the_listeners_of_the_other(two: Two) -> None:
    here, there = two
    async with signed_in(here.base) as ada, signed_in(here.base) as bob:
        bobs, adas = [(await one.get("/users/me")).json()["id"] for one in (bob, ada)]
        chat = (await ada.post("/chats", json={"kind": "group", "member_ids": [bobs]})).json()["id"]
        async with at(bob, there) as bob_there, a_wire(bob_there) as wire, a_wire(ada) as own:
            await wire.follow(chat)
            await own.follow(chat)
            said = (await ada.post(f"/chats/{chat}/messages", json={"text": "hi"})).json()
            assert (await wire.hear("message.created"))["message"] == said
            await own.say("typing", chat_id=chat)
            assert (await wire.hear("typing"))["user_id"] == adas
            await wire.hear("presence", user_id=adas, online=True)
            await wire.say("read", chat_id=chat, seq=1)
            assert (await own.hear("read"))["user_id"] == bobs

            removed = await ada.delete(f"/chats/{chat}/members/{bobs}")
            assert removed.status_code == 204
            for number in range(10):
                await ada.post(f"/chats/{chat}/messages", json={"text": f"about bob {number}"})
            assert (await wire.hear("unsubscribed"))["reason"] == "removed"
            await own.hear("message.created", rev=12)
            assert not [frame for frame in await wire.quiet() if frame.get("rev", 0) > 2]

            await bob.post("/auth/logout")
            assert await wire.end() == 4401
            assert await own.quiet() is not None


async def test_a_ticket_counts_once_whichever_process_takes_it(two: Two) -> None:
    here, there = two
    async with signed_in(here.base) as ada, at(ada, there) as ada_there:
        async with a_wire(ada_there) as wire:
            assert await wire.quiet() == []
        ticket = (await ada.post("/realtime/tickets")).json()["ticket"]
        opened = await asyncio.gather(*(_opens(process, ticket) for process in (here, there, here, there)))
        assert sorted(opened) == [False, False, False, True]
        await eventually(lambda: '"route":"/api/v1/realtime"' in there.log.read_text())
        assert ticket not in here.log.read_text() + there.log.read_text()


async def _opens(process: Process, ticket: str) -> bool:
    try:
        async with connect(f"ws{process.base[4:]}/api/v1/realtime?ticket={ticket}", proxy=None):
            return True
    except WebSocketException:
        return False
