"""Realtime from outside: two processes, a real Redis between them, listeners that come and go, a process that dies."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from tests.faults.score import ROUNDS
from tests.fleet import Fleet, Process, a_fleet, signed_in
from tests.servers.session import shared_url
from tests.waiting import PATIENCE_S, eventually
from tests.wire import Frame, Wire, a_wire

pytestmark = pytest.mark.asyncio(loop_scope="module")

WRITERS, LISTENERS, EACH = (8, 10, 12) if ROUNDS == 1 else (32, 50, 25)  # `make test` and `make faults`
LOST = (OSError, WebSocketException, httpx.TransportError, TimeoutError)


@dataclass(slots=True)
class House:
    """Processes, of which some may have died."""

    fleet: Fleet
    processes: list[Process]

    def any(self) -> Process:
        return random.choice(self.processes)


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="house")
async def a_house(tmp_path_factory: pytest.TempPathFactory, template: str) -> AsyncIterator[House]:
    servers = (shared_url("postgres"), shared_url("redis"), shared_url("rabbitmq"))
    limits = {"PARLOR_BCRYPT_COST": "4", "PARLOR_THROTTLE_SCALE": "1000", "PARLOR_SOCKETS_PER_USER": "100"}
    folder: Path = tmp_path_factory.mktemp("realtime")
    async with a_fleet(*servers, folder, template=template, **limits) as fleet:
        yield House(fleet, list(await asyncio.gather(fleet.serve(), fleet.serve())))


def at(client: httpx.AsyncClient, process: Process) -> httpx.AsyncClient:
    """Let the same user ask another process."""
    return httpx.AsyncClient(
        base_url=f"{process.base}/api/v1", headers=client.headers, trust_env=False, timeout=40
    )


@dataclass
class Follower:
    """A client by the book: it resumes with its last rev, and pulls what it is told is missing."""

    user: httpx.AsyncClient
    house: House
    chat: str
    rev: int = 0
    state: dict[str, Any] = field(default_factory=dict)
    dropped: int = 0
    gaps: int = 0

    async def run(self, last_rev: asyncio.Future[int]) -> None:
        while not self._is_done(last_rev):
            try:
                async with at(self.user, self.house.any()) as client, a_wire(client, close_timeout=1) as wire:
                    await wire.follow(self.chat, since_rev=self.rev)
                    await self._read(wire, client, last_rev)
            except LOST:
                await asyncio.sleep(0.01)
            self.dropped += 1

    def _is_done(self, last_rev: asyncio.Future[int]) -> bool:
        return last_rev.done() and self.rev >= last_rev.result()

    async def _read(self, wire: Wire, client: httpx.AsyncClient, last_rev: asyncio.Future[int]) -> None:
        live = False
        stays = random.randrange(5, 80)
        for _ in range(stays if not last_rev.done() else 10_000):
            if self._is_done(last_rev):
                return
            try:
                async with asyncio.timeout(0.5):
                    frame = await wire.next()
            except TimeoutError:
                continue
            live = await self._take(frame, client, live=live)

    async def _take(self, frame: Frame, client: httpx.AsyncClient, *, live: bool) -> bool:
        match frame:
            case {"type": "caught_up", "rev": rev}:
                assert rev >= self.rev
                self.rev = rev
                return True
            case {"type": "gap", "from_rev": first, "to_rev": last}:
                assert first <= self.rev + 1
                await self._pull(client, last)
            case {"rev": rev, "message": message}:
                assert rev == self.rev + 1 if live else rev > self.rev, (frame["type"], rev, self.rev)
                self.rev, self.state[message["id"]] = rev, message
            case _:
                assert frame["type"] == "presence", frame
        return live

    async def _pull(self, client: httpx.AsyncClient, upto: int) -> None:
        self.gaps += 1
        page = {"next_rev": self.rev}
        while page["next_rev"] is not None:
            asked = {"since_rev": page["next_rev"], "limit": 100}
            page = (await client.get(f"/chats/{self.chat}/changes", params=asked)).json()
            for message in page["items"]:
                self.state[message["id"]] = message
        self.rev = max(self.rev, upto)


@dataclass
class Writer:
    """Says things on whichever process lives, each until it is acknowledged, and takes some of them back."""

    user: httpx.AsyncClient
    house: House
    chat: str
    number: int
    said: dict[str, str] = field(default_factory=dict)

    async def run(self) -> None:
        for turn in range(EACH):
            body = {"text": f"{self.number}.{turn}", "client_id": f"{self.number}.{turn}"}
            message = await self._until_answered("POST", "messages", body)
            self.said[message["id"]] = message["text"]
            match turn % 4:
                case 1:
                    await self._until_answered("PATCH", f"messages/{message['id']}", {"text": "edited"})
                    self.said[message["id"]] = "edited"
                case 3:
                    await self._until_answered("DELETE", f"messages/{message['id']}")
                    del self.said[message["id"]]

    async def _until_answered(self, method: str, path: str, body: object = None) -> Any:
        while True:
            process = self.house.processes[self.number % len(self.house.processes)]
            try:
                url = f"{process.base}/api/v1/chats/{self.chat}/{path}"
                answer = await self.user.request(method, url, json=body)
            except httpx.TransportError:
                await asyncio.sleep(0.01)
                continue
            assert answer.is_success, answer.text
            return answer.json() if answer.content else None


async def test_what_is_done_on_one_process_reaches_the_listeners_of_the_other(house: House) -> None:
    here, there = house.processes
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


async def test_a_ticket_counts_once_whichever_process_takes_it(house: House) -> None:
    here, there = house.processes
    async with signed_in(here.base) as ada, at(ada, there) as ada_there:
        async with a_wire(ada_there) as wire:
            assert await wire.quiet() == []
        ticket = (await ada.post("/realtime/tickets")).json()["ticket"]
        opened = await asyncio.gather(*(_opens(process, ticket) for process in (here, there, here, there)))
        assert sorted(opened) == [False, False, False, True]
        log = here.log.read_text() + there.log.read_text()
        assert ticket not in log
        assert "/api/v1/realtime" in log


async def _opens(process: Process, ticket: str) -> bool:
    try:
        async with connect(f"ws{process.base[4:]}/api/v1/realtime?ticket={ticket}", proxy=None):
            return True
    except WebSocketException:
        return False


async def test_every_listener_ends_with_every_change_in_order_though_they_drop_and_a_process_dies(
    house: House,
) -> None:
    async with AsyncExitStack() as users:
        ada = await users.enter_async_context(signed_in(house.processes[0].base))
        bob = await users.enter_async_context(signed_in(house.processes[1].base))
        bobs = (await bob.get("/users/me")).json()["id"]
        chat = (await ada.post("/chats", json={"kind": "group", "member_ids": [bobs]})).json()["id"]
        followers = [Follower((ada, bob)[n % 2], house, chat) for n in range(LISTENERS)]
        writers = [Writer((ada, bob)[n % 2], house, chat, n) for n in range(WRITERS)]
        last_rev: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        following = [asyncio.create_task(follower.run(last_rev)) for follower in followers]
        writing = [asyncio.create_task(writer.run()) for writer in writers]
        await eventually(lambda: sum(len(writer.said) for writer in writers) > WRITERS * EACH // 3)
        house.processes.pop().kill()
        await asyncio.gather(*writing)
        page = (await ada.get(f"/chats/{chat}")).json()
        last_rev.set_result(page["last_rev"])
        async with asyncio.timeout(PATIENCE_S * ROUNDS):
            await asyncio.gather(*following)
        expected: dict[str, str] = {}
        for writer in writers:
            expected |= writer.said
        for follower in followers:
            told = {one["id"]: one["text"] for one in follower.state.values() if one["deleted_at"] is None}
            assert told == expected
            assert len(follower.state) == page["last_seq"] == WRITERS * EACH
        print(
            f"{WRITERS} writers, {LISTENERS} listeners, {page['last_rev']} changes:"
            f" {sum(one.dropped for one in followers)} reconnections, {sum(one.gaps for one in followers)} gaps"
        )
