"""Those who talk in a chat, and those who follow it, while processes die: all by the book of docs/realtime.md."""

import asyncio
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
from websockets.exceptions import WebSocketException

from tests.faults.score import Tally
from tests.fleet import Process
from tests.wire import UNAVAILABLE, Frame, Wire, a_wire, at

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
            answer = await client.get(f"/chats/{self.chat}/changes", params=asked)
            if answer.status_code == UNAVAILABLE:
                raise ConnectionError(answer.text)
            page = answer.json()
            for message in page["items"]:
                self.state[message["id"]] = message
        self.rev = max(self.rev, upto)


@dataclass
class Writer:
    """Says things on whichever process lives, each until it is acknowledged, and may take some of them back.

    `asked` is when each was first said and when acknowledged, `again` how often one was repeated.
    """

    user: httpx.AsyncClient
    house: House
    chat: str
    number: int
    pause_s: float = 0.0
    said: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[datetime, datetime]] = field(default_factory=list)
    again: int = 0

    async def run(self, turns: int, *, mends: bool = False) -> None:
        """Say so many things; whoever mends edits one of four, and deletes another."""
        for turn in range(turns):
            body = {"text": f"{self.number}.{turn}", "client_id": f"{self.number}.{turn}"}
            since = datetime.now(UTC)
            message = await self._until_answered("POST", "messages", body)
            self.asked.append((since, datetime.now(UTC)))
            self.said[message["id"]] = message["text"]
            if mends:
                await self._mend(turn, message["id"])
            await asyncio.sleep(self.pause_s)  # the load's own rhythm

    async def _mend(self, turn: int, message_id: str) -> None:
        match turn % 4:
            case 1:
                await self._until_answered("PATCH", f"messages/{message_id}", {"text": "edited"})
                self.said[message_id] = "edited"
            case 3:
                await self._until_answered("DELETE", f"messages/{message_id}")
                del self.said[message_id]

    async def _until_answered(self, method: str, path: str, body: object = None) -> Any:
        while True:
            process = self.house.processes[self.number % len(self.house.processes)]
            try:
                url = f"{process.base}/api/v1/chats/{self.chat}/{path}"
                answer = await self.user.request(method, url, json=body)
            except httpx.TransportError:
                answer = None
            if answer is None or answer.status_code == UNAVAILABLE:
                self.again += 1
                await asyncio.sleep(0.01)
                continue
            assert answer.is_success, answer.text
            return answer.json() if answer.content else None


def tally(fault: str, writers: list[Writer], stored: list[str], struck: list[datetime]) -> Tally:
    """Hold what was acknowledged against what is stored: the `client_id` of each message that is."""
    asked = [one for writer in writers for one in writer.asked]
    return Tally(
        fault=fault,
        times=len(struck),
        what="messages",
        sent=len(asked),
        kept=len(set(stored)),
        doubled=len(stored) - len(set(stored)),
        lost=len(asked) - len(set(stored)),
        again=sum(writer.again for writer in writers),
        recovery_s=max(
            ((end - at).total_seconds() for since, end in asked for at in struck if since < at < end),
            default=0.0,
        ),
    )
