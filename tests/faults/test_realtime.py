"""An API process dies under writers, and listeners that come and go: nobody misses a change, all see one order."""

import asyncio
import random
from dataclasses import dataclass, field
from typing import Any

import httpx
from websockets.exceptions import WebSocketException

from tests.faults.score import ROUNDS, rounds
from tests.fleet import Fleet, Process, signed_in
from tests.waiting import PATIENCE_S, eventually
from tests.wire import Frame, Wire, a_wire, at

WRITERS, LISTENERS, EACH = (8, 10, 12) if ROUNDS == 1 else (32, 50, 25)  # `make test` and `make faults`
LOST = (OSError, WebSocketException, httpx.TransportError, TimeoutError)


@dataclass(slots=True)
class House:
    """Processes, of which some may have died."""

    processes: list[Process]

    def any(self) -> Process:
        return random.choice(self.processes)


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
        page: dict[str, Any] = {"next_rev": self.rev}
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


async def test_every_listener_ends_with_every_change_in_order_though_they_drop_and_a_process_dies(
    fleet: Fleet,
) -> None:
    fleet.settings |= {
        "PARLOR_BCRYPT_COST": "4",
        "PARLOR_THROTTLE_SCALE": "1000",
    }
    house = House(list(await asyncio.gather(fleet.serve(), fleet.serve())))
    async with signed_in(house.processes[0].base) as ada, signed_in(house.processes[0].base) as bob:
        for _ in range(rounds(5)):
            if len(house.processes) == 1:
                house.processes.append(await fleet.serve())
            await _story(house, ada, bob)


async def _story(house: House, ada: httpx.AsyncClient, bob: httpx.AsyncClient) -> None:
    bobs = (await bob.get("/users/me")).json()["id"]
    chat = (await ada.post("/chats", json={"kind": "group", "member_ids": [bobs]})).json()["id"]
    followers = [Follower((ada, bob)[n % 2], house, chat) for n in range(LISTENERS)]
    writers = [Writer((ada, bob)[n % 2], house, chat, n) for n in range(WRITERS)]
    last_rev: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    following = [asyncio.create_task(follower.run(last_rev)) for follower in followers]
    writing = [asyncio.create_task(writer.run()) for writer in writers]
    written = WRITERS * EACH // 3
    await eventually(lambda: sum(len(one.said) for one in writers) > written, within=PATIENCE_S * ROUNDS)
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
