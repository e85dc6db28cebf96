"""When a connection counts as dead, without a clock: its heartbeat is over at once."""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Any, cast

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosedOK

from parlor.client.connection import Connection
from parlor.client.mailbox import Frame
from parlor.client.rest import Rest


@dataclass
class Socket:
    """Answers so many pings, falls silent, and tells whether it was left."""

    answers: int
    pings: int = 0
    left: bool = False
    waiting: deque[str] = field(default_factory=deque)

    @property
    def transport(self) -> "Socket":
        return self

    def abort(self) -> None:
        self.left = True

    async def send(self, text: str) -> None:
        assert text == '{"type": "ping"}'
        self.pings += 1
        if self.pings <= self.answers:
            self.waiting.append('{"type": "pong"}')
        elif self.answers:
            self.waiting.append("")

    async def recv(self) -> str:
        if not self.waiting:
            await asyncio.Event().wait()
        if not (text := self.waiting.popleft()):
            raise ConnectionClosedOK(None, None)
        return text


class Nothing:
    """Carries nothing."""

    def resumption(self) -> list[Frame]:
        return []

    def take(self, frame: Frame) -> None:
        assert frame == {"type": "pong"}


async def listen(socket: Socket) -> None:
    connection = Connection(cast("Rest", None), Nothing())
    connection._socket = cast("ClientConnection", socket)
    await connection._listen(cast("Any", socket), 0)


async def test_a_server_that_answers_every_ping_is_not_left() -> None:
    socket = Socket(answers=9)
    await listen(socket)
    assert (socket.pings, socket.left) == (10, False)


async def test_a_server_that_is_silent_for_a_heartbeat_after_a_ping_is_left() -> None:
    socket = Socket(answers=0)
    await listen(socket)
    assert (socket.pings, socket.left) == (1, True)
