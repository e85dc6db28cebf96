"""One WebSocket that stays: opened with a ticket, kept alive, and opened again."""

import asyncio
import json
import random
import time
from typing import Any, Protocol

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from parlor.client.errors import ClientError, Refused
from parlor.client.mailbox import Frame
from parlor.client.rest import Rest

MAX_FRAME_BYTES = 8 * 1024 * 1024
OPEN_S = SAY_S = 10.0
CLOSE_S = 5.0
STEADY_S = 10.0  # a connection that held so long starts the backoff anew
SESSION_ENDED = 4401
NEVER = {403, 404}  # before the upgrade: an origin that may not, no such route
PING: Frame = {"type": "ping"}


class Carried(Protocol):
    """What a connection is there for."""

    def resumption(self) -> list[Frame]:
        """Give what has to be said first on a new connection."""
        ...

    def take(self, frame: Frame) -> None:
        """Take what came; must not wait, so that nothing slow stops the reading."""
        ...


class Connection:
    """Connects for as long as it runs; frames said while there is no connection are dropped."""

    def __init__(self, rest: Rest, carried: Carried) -> None:
        self._rest = rest
        self._carried = carried
        self._socket: ClientConnection | None = None
        self._jitter_s = 0.0

    @property
    def is_open(self) -> bool:
        """Whether there is a connection right now."""
        return self._socket is not None

    async def say(self, frame: Frame) -> None:
        """Write a frame; what must arrive is in the next connection's resumption as well."""
        socket = self._socket
        if socket is None:
            return
        try:
            async with asyncio.timeout(SAY_S):
                await socket.send(json.dumps(frame))
        except ConnectionClosed:
            pass  # whoever listens finds out, too
        except TimeoutError:
            socket.transport.abort()

    async def run(self) -> None:
        """Connect, again and again; raises what no further attempt mends."""
        attempt = 0
        while True:
            begun, at_least = time.monotonic(), 0.0
            try:
                await self._once()
            except InvalidStatus as error:
                if error.response.status_code in NEVER:
                    raise Refused(f"http_{error.response.status_code}") from error
            except ClientError as error:
                if not error.temporary:
                    raise
                at_least = error.retry_after
            except (OSError, WebSocketException, ValueError):
                pass  # no connection, or not one that speaks as it should
            attempt = 0 if time.monotonic() - begun > STEADY_S else attempt + 1
            at_least += random.uniform(0, self._jitter_s)  # noqa: S311 - spreads load, guards nothing
            await asyncio.sleep(self._rest.backoff.pause(attempt, at_least=at_least))

    async def _once(self) -> None:
        ticket = (await self._rest.post("/realtime/tickets"))["ticket"]
        address = f"ws{self._rest.base_url.removeprefix('http')}/realtime?ticket={ticket}"
        tls: dict[str, Any] = {"ssl": self._rest.tls} if self._rest.tls and address.startswith("wss") else {}
        async with connect(
            address,
            max_size=MAX_FRAME_BYTES,
            open_timeout=OPEN_S,
            close_timeout=CLOSE_S,
            ping_interval=None,  # the contract has pings of its own
            **tls,
        ) as socket:
            async with asyncio.timeout(OPEN_S):
                heartbeat_s, self._jitter_s = _greeting(json.loads(await socket.recv()))
            frames, self._socket = self._carried.resumption(), socket
            try:
                for frame in frames:
                    await self.say(frame)
                await self._listen(socket, heartbeat_s)
            finally:
                self._socket = None
                await socket.close()
        if socket.close_code == SESSION_ENDED:
            await self._rest.session.refresh()

    async def _listen(self, socket: ClientConnection, heartbeat_s: float) -> None:
        """Take frames; say something every heartbeat, and leave a server that says nothing for a whole one."""
        heard, ping_at = True, asyncio.get_running_loop().time() + heartbeat_s
        while True:
            try:
                async with asyncio.timeout_at(ping_at):
                    frame = json.loads(await socket.recv())
            except ConnectionClosed:
                return
            except TimeoutError:
                if not heard:
                    socket.transport.abort()
                    return
                heard, ping_at = False, ping_at + heartbeat_s
                await self.say(PING)
            else:
                heard = True
                self._carried.take(frame)


def _greeting(frame: Frame) -> tuple[float, float]:
    match frame:
        case {"type": "hello", "heartbeat_s": heartbeat_s, "retry_jitter_s": jitter_s}:
            return heartbeat_s, jitter_s
        case _:
            raise ValueError("no hello")
