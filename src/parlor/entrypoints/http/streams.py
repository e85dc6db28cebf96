"""Streams of server-sent events: what they are made of, how many are open, and what ends them."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Generator
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from parlor.core.identity.hints import UserHints
from parlor.core.shared.actor import Actor
from parlor.core.shared.clock import Clock
from parlor.core.shared.errors import (
    Busy,
    Contended,
    NotFound,
    ParlorError,
    TooMany,
    Unauthenticated,
    Unavailable,
)
from parlor.core.shared.feed import set_within
from parlor.entrypoints.http.auth import Caller

MOST = 1000
MOST_OF_ONE = 100
COME_BACK_S = 5
RETRY_MS = 2000
BEAT_S = 15.0
STUCK_S = 30.0
FAREWELL_S = 1.0
CONNECTION = "parlor.connection"


class TooManyStreams(TooMany):
    """You have as many streams open here as one caller may have."""

    code = "too_many_streams"


class Connection(Protocol):
    """What a stream asks of the server below it, beside ASGI; the scope has it where the server is ours."""

    ending: asyncio.Event
    leaving: asyncio.Event

    def abort(self) -> None:
        """Drop what was written and not taken."""
        ...


@dataclass(slots=True)
class Unconnected:
    """Some other server, which says nothing of its end."""

    ending: asyncio.Event = field(default_factory=asyncio.Event)
    leaving: asyncio.Event = field(default_factory=asyncio.Event)

    def abort(self) -> None:
        """Leave the connection to its server."""


@dataclass(frozen=True, slots=True)
class Message:
    """One event on the wire; `data` is one line."""

    event: str
    id: int
    data: bytes
    last: bool = False

    def written(self) -> bytes:
        """Write it as the standard has it."""
        return b"event: %b\nid: %d\ndata: %b\n\n" % (self.event.encode(), self.id, self.data)


class Source(Protocol):
    """Where a stream's messages come from."""

    async def next(self, seconds: float) -> Message | None:
        """Wait for the next one; None where the seconds have passed first. Raises NotFound when there is no more."""
        ...


@dataclass(slots=True)
class Streams:
    """The streams that this process has open: a bounded number, each only as long as its caller may."""

    hints: UserHints
    clock: Clock
    _open: Counter[UUID | None] = field(init=False, default_factory=Counter[UUID | None])
    _all: int = field(init=False, default=0)

    @property
    def open(self) -> int:
        """How many there are."""
        return self._all

    @contextmanager
    def place_for(self, actor: Actor) -> Generator[None]:
        """Count one more. Raises Busy, TooManyStreams."""
        if self._all >= MOST:
            raise Busy(retry_after=COME_BACK_S)
        if self._open[actor.id] >= MOST_OF_ONE:
            raise TooManyStreams(retry_after=COME_BACK_S)
        self._all += 1
        self._open[actor.id] += 1
        try:
            yield
        finally:
            self._all -= 1
            self._open[actor.id] -= 1
            self._open += Counter()  # which drops what has come to nothing

    async def until_nobody(self, caller: Caller) -> None:
        """Return when the caller's credential ends, or no longer stands for the same rights."""
        actor, expires_at = caller.principal.actor, caller.principal.expires_at
        hinted = (one for one in (actor.id, actor.user_id) if one is not None)
        with self.hints.expect(*hinted) as changed:
            while await self._same(caller) and (left := expires_at - self.clock().timestamp()) > 0:
                await set_within(changed, min(left, BEAT_S))
                changed.clear()

    @staticmethod
    async def _same(caller: Caller) -> bool:
        try:
            return (await caller.again()).actor == caller.principal.actor
        except Unauthenticated:
            return False
        except (Unavailable, Contended):
            return True  # nobody can say now; the next look will


class EventStream(Response):
    """Answers with the messages of a source, or with 204 where there is none: nothing will ever follow."""

    media_type = "text/event-stream"

    def __init__(
        self,
        streams: Streams,
        caller: Caller,
        open_source: Callable[[], AbstractAsyncContextManager[Source | None]],
    ) -> None:
        super().__init__(headers={"content-type": "text/event-stream", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._streams = streams
        self._caller = caller
        self._open_source = open_source

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Find a place and the source; what goes wrong before the first byte is a problem like any other."""
        with self._streams.place_for(self._caller.principal.actor):
            async with self._open_source() as source:
                if source is None:
                    await Response(status_code=204)(scope, receive, send)
                else:
                    await self._stream(source, scope.get(CONNECTION) or Unconnected(), receive, send)

    async def _stream(self, source: Source, connection: Connection, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await first_of(
            _tell(source, send),
            _gone(receive),
            connection.ending.wait(),
            self._streams.until_nobody(self._caller),
        )
        try:
            async with asyncio.timeout(FAREWELL_S):
                await send({"type": "http.response.body"})
        except TimeoutError:
            connection.abort()


async def first_of(*ways: Coroutine[Any, Any, object]) -> None:
    """Run all until one of them ends, then end the others."""
    running = [asyncio.create_task(way) for way in ways]
    try:
        done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    for task in done:
        task.result()


async def _tell(source: Source, send: Send) -> None:
    """Send what comes, and a comment every 15 s, until the last message; or until the reader takes nothing."""
    now = asyncio.get_running_loop().time
    with suppress(NotFound, TimeoutError):
        await _say(send, b"retry: %d\n\n" % RETRY_MS)
        beat_at = now() + BEAT_S
        while True:
            message = await source.next(beat_at - now())
            if message is None:
                await _say(send, b":\n\n")
                beat_at = now() + BEAT_S
                continue
            await _say(send, message.written())
            if message.last:
                return


async def _say(send: Send, text: bytes) -> None:
    async with asyncio.timeout(STUCK_S):
        await send({"type": "http.response.body", "body": text, "more_body": True})


async def _gone(receive: Receive) -> None:
    """Return when the client has gone; or has begun a body that it does not end, or that is too large."""
    with suppress(ParlorError):
        while (await receive())["type"] != "http.disconnect":
            pass
