"""A client of the WebSocket that keeps nothing back: every frame as it comes."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.fleet import NO_TLS, Process
from tests.waiting import PATIENCE_S

Frame = dict[str, Any]
UNAVAILABLE = 503


@dataclass(slots=True)
class Wire:
    """One connection; `passed` is what came and was not waited for."""

    socket: ClientConnection
    passed: list[Frame] = field(default_factory=list)

    async def say(self, kind: str, **fields: object) -> None:
        await self.socket.send(json.dumps({"type": kind, **fields}))

    async def next(self) -> Frame:
        async with asyncio.timeout(PATIENCE_S):
            frame: Frame = json.loads(await self.socket.recv())
        return frame

    async def hear(self, *kinds: str, **fields: object) -> Frame:
        """Wait for a frame of one of these sorts, with these fields."""
        while True:
            frame = await self.next()
            if frame["type"] in kinds and fields.items() <= frame.items():
                return frame
            self.passed.append(frame)

    async def follow(self, chat_id: str, **fields: object) -> Frame:
        """Subscribe, and wait until it stands."""
        await self.say("subscribe", chat_id=chat_id, **fields)
        return await self.hear("subscribed", chat_id=chat_id)

    async def caught_up(self) -> list[Frame]:
        """Give what a replay brings, its end included."""
        frames: list[Frame] = []
        while not frames or frames[-1]["type"] != "caught_up":
            frames.append(await self.next())
        return [frame for frame in frames if frame["type"] != "presence"]

    async def quiet(self) -> list[Frame]:
        """Give what came before the answer to a ping: all that was on its way."""
        await self.say("ping")
        frames: list[Frame] = []
        while (frame := await self.next())["type"] != "pong":
            frames.append(frame)
        return [*self.passed, *frames]

    async def end(self) -> int | None:
        """Wait for the end, and tell its code."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    self.passed.append(json.loads(await self.socket.recv()))
        except ConnectionClosed:
            return self.socket.close_code


@asynccontextmanager
async def a_wire(client: httpx.AsyncClient, **options: Any) -> AsyncIterator[Wire]:
    """Connect with a ticket of this client's session, and be greeted; a ConnectionError where it gets none for now."""
    answer = await client.post("/realtime/tickets")
    if answer.status_code == UNAVAILABLE:
        raise ConnectionError(answer.text)
    assert answer.status_code == 201, answer.text
    address = address_of(client, f"?ticket={answer.json()['ticket']}")
    async with connect(address, proxy=None, ping_interval=None, **options) as socket:
        wire = Wire(socket)
        await wire.hear("hello")
        yield wire


def address_of(client: httpx.AsyncClient, query: str = "") -> str:
    return f"ws{str(client.base_url).removeprefix('http').rstrip('/')}/realtime{query}"


def at(client: httpx.AsyncClient, process: Process) -> httpx.AsyncClient:
    """Let the same user ask another process."""
    return httpx.AsyncClient(
        base_url=f"{process.base}/api/v1",
        headers=client.headers,
        trust_env=False,
        verify=NO_TLS,
        timeout=40,
    )
