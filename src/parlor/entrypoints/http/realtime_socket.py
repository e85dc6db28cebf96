"""The WebSocket: who may open it, what runs over it, and how it ends."""

import asyncio
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Protocol, cast
from urllib.parse import urlsplit
from uuid import UUID

import orjson
import structlog
from starlette.routing import WebSocketRoute
from starlette.types import Receive, Scope, Send

from parlor.config import Settings
from parlor.container import Container
from parlor.core.identity.hints import UserHints
from parlor.core.identity.model import InvalidToken
from parlor.core.shared.clock import Clock
from parlor.core.shared.errors import (
    Busy,
    Contended,
    Forbidden,
    ParlorError,
    TooMany,
    Unauthenticated,
    Unavailable,
)
from parlor.core.shared.feed import set_within
from parlor.core.shared.meters import ONE, Count, Meters
from parlor.entrypoints.http.auth import Caller, admit, caller_of, principal_of
from parlor.entrypoints.http.call import Call, call_of
from parlor.entrypoints.http.conversation import MAX_FRAME, TOO_MUCH, Closing, Conversation, Limits, Offers
from parlor.entrypoints.http.errors import InternalError, problem
from parlor.entrypoints.http.frames import error_frame
from parlor.entrypoints.http.mailbox import Mailbox
from parlor.entrypoints.http.routing import BASE
from parlor.entrypoints.http.streams import BEAT_S, COME_BACK_S, CONNECTION, first_of

PATH = f"{BASE}/realtime"
MOST = 5000
HEARTBEAT_S = 20
RETRY_JITTER_S = 5
SESSION_ENDED = 4401
TOO_SLOW = 4408
FAILED = 1011
BY_CLIENT = "client"

log = structlog.stdlib.get_logger("parlor.realtime")


class ForeignOrigin(Forbidden):
    """Pages of this origin may not open it: name the origin in PARLOR_CORS_ORIGINS."""

    code = "foreign_origin"


class TooManyConnections(TooMany):
    """You have as many connections open here as one user may have."""

    code = "too_many_connections"


class TooSlow(TooMany):
    """You read more slowly than things happen: come back, and catch up."""

    code = "too_slow"


class SessionEnded(InvalidToken):
    """Your session has ended, or this credential has."""

    code = "session_ended"


class Connection(Protocol):
    """What a WebSocket asks of the server below it, beside ASGI; the scope has it where the server is ours."""

    def written(self, text: bytes) -> bool:
        """Write a text at once, if nothing stands in its way; tell whether it was."""
        ...

    def leave(self, texts: Sequence[bytes], code: int) -> None:
        """Say these and the code, as far as the reader still takes them; then the connection is dropped."""
        ...


@dataclass(slots=True)
class Sockets:
    """The WebSockets that this process has open: a bounded number, each only as long as its caller may."""

    hints: UserHints
    clock: Clock
    _open: Counter[UUID] = field(init=False, default_factory=Counter[UUID])

    @contextmanager
    def place_for(self, user_id: UUID) -> Generator[int]:
        """Count one more, and tell how many the user has now. Raises Busy."""
        if self._open.total() >= MOST:
            raise Busy(retry_after=COME_BACK_S)
        self._open[user_id] += 1
        try:
            yield self._open[user_id]
        finally:
            self._open[user_id] -= 1
            self._open += Counter()  # which drops what has come to nothing

    @property
    def open(self) -> int:
        """How many there are."""
        return self._open.total()

    async def until_nobody(self, caller: Caller, conversation: Conversation) -> None:
        """Let what the caller may do follow what becomes of them. Raises Closing when they are nobody any more."""
        expires_at = caller.principal.expires_at
        with self.hints.expect(conversation.user_id) as changed:
            while (left := expires_at - self.clock().timestamp()) > 0:
                try:
                    conversation.actor = (await caller.again()).actor
                except Unauthenticated:
                    break
                except (Unavailable, Contended):
                    pass  # nobody can say now; the next look will
                await set_within(changed, min(left, BEAT_S))
                changed.clear()
        raise Closing(SESSION_ENDED, SessionEnded())


class SocketMeter:
    """What is counted about WebSockets."""

    def __init__(self, meters: Meters, sockets: Sockets) -> None:
        self.talking: set[Conversation] = set()
        frames = meters.tally("parlor_websocket_frames_total", "Frames over WebSockets.", "direction")
        self.frames_in, self.frames_out = frames.of("in"), frames.of("out")
        self._closed = meters.tally(
            "parlor_websockets_closed_total",
            "WebSockets that ended: by the client, or with an error's code; too_slow is a reader that was.",
            "reason",
        )
        for reason in (BY_CLIENT, TooSlow.code):
            self._closed.of(reason)
        meters.level("parlor_websockets", "WebSockets that are open.").reads(lambda: {ONE: sockets.open})
        meters.level(
            "parlor_websocket_subscriptions", "Chats that open WebSockets follow, each for itself."
        ).reads(lambda: {ONE: sum(one.subscriptions for one in self.talking)})

    def ended(self, conversation: Conversation, reason: str | None) -> None:
        """Count the end of one."""
        self.talking.discard(conversation)
        self._closed.add(reason or BY_CLIENT)


class RealtimeSocket:
    """`GET /api/v1/realtime`, as an ASGI application; `route` is what the log calls it."""

    route: WebSocketRoute

    def __init__(self, container: Container) -> None:
        settings = container.settings
        self._offers = Offers.of(container)
        self._sockets = container.build(Sockets)
        self._meter = SocketMeter(container.get(Meters), self._sockets)
        self._origins = _origins_of(settings)
        self._most = settings.sockets_per_user
        self._tracer = container.tracer
        self._limits = Limits(settings.subscriptions_per_socket, settings.frames_per_s)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse before the upgrade, or talk until one side ends it."""
        call = call_of(scope)
        scope["route"] = self.route
        try:
            await admit(call, scope)
            caller, user_id = caller_of(call), principal_of(call).user.id
            self._must_be_known(call)
            with self._sockets.place_for(user_id) as number:
                await receive()  # websocket.connect
                await send({"type": "websocket.accept"})
                await self._talk(caller, number, scope, receive, send)
        except ParlorError as error:
            call.code = error.code
            await problem(error, call.request_id)(scope, receive, send)

    def _must_be_known(self, call: Call) -> None:
        """Raise ForeignOrigin where a page of somebody else's site uses its visitor's credential."""
        origin = call.header(b"origin")
        if origin is None or origin in self._origins:
            return
        if not origin.startswith(("http://", "https://")) or urlsplit(origin).netloc != call.header(b"host"):
            raise ForeignOrigin

    async def _talk(self, caller: Caller, number: int, scope: Scope, receive: Receive, send: Send) -> None:
        mailbox = _mailbox_of(scope, self._meter.frames_out)
        conversation = Conversation(self._offers, self._limits, caller.principal.actor, self._tracer, mailbox)
        self._meter.talking.add(conversation)
        try:
            await send({"type": "websocket.send", "text": self._hello()})
            self._must_be_few(number)
            await first_of(
                _listen(receive, conversation, self._meter.frames_in),
                _write(conversation, send, self._meter.frames_out),
                _until_stuck(conversation),
                self._sockets.until_nobody(caller, conversation),
            )
        except Closing as closing:
            call_of(scope).code = closing.error.code
            await _leave(scope, send, conversation, closing)
        except OSError:
            pass  # the client has gone
        except Exception as error:
            call_of(scope).code = InternalError.code
            log.exception("unexpected_error", error=type(error).__name__)
            await _leave(scope, send, conversation, Closing(FAILED, InternalError()))
        finally:
            self._meter.ended(conversation, call_of(scope).code)
            conversation.close()

    def _must_be_few(self, number: int) -> None:
        """Raise Closing: a browser is told so in a frame, where it would not see an answer's status."""
        if number > self._most:
            raise Closing(TOO_MUCH, TooManyConnections())

    def _hello(self) -> str:
        hello = {
            "type": "hello",
            "max_frame": MAX_FRAME,
            "heartbeat_s": HEARTBEAT_S,
            "retry_jitter_s": RETRY_JITTER_S,
            "max_subscriptions": self._limits.subscriptions,
            "frames_per_s": self._limits.frames_per_s,
        }
        return orjson.dumps(hello).decode()


def realtime_socket_route(container: Container) -> WebSocketRoute:
    """Make the route."""
    served = RealtimeSocket(container)
    served.route = WebSocketRoute(PATH, served, name="realtime")
    return served.route


async def _listen(receive: Receive, conversation: Conversation, frames: Count) -> None:
    while (message := await receive())["type"] != "websocket.disconnect":
        frames.n += 1
        await conversation.take(message)


async def _write(conversation: Conversation, send: Send, frames: Count) -> None:
    with suppress(OSError):  # the client has gone
        while True:
            json = await conversation.mailbox.next()
            await send({"type": "websocket.send", "text": json.decode()})
            frames.n += 1


async def _until_stuck(conversation: Conversation) -> None:
    await conversation.mailbox.stuck()
    raise Closing(TOO_SLOW, TooSlow())


async def _leave(scope: Scope, send: Send, conversation: Conversation, closing: Closing) -> None:
    """Say why, past everything that still waits for the reader."""
    texts = [*conversation.mailbox.gaps()] if closing.code == TOO_SLOW else []
    texts.append(error_frame(closing.error, {}))
    connection = _connection_of(scope)
    if connection is not None:
        connection.leave(texts, closing.code)
        return
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(1):
            for text in texts:
                await send({"type": "websocket.send", "text": text.decode()})
            await send({"type": "websocket.close", "code": closing.code})


def _connection_of(scope: Scope) -> Connection | None:
    return cast("Connection | None", scope.get(CONNECTION))


def _mailbox_of(scope: Scope, out: Count) -> Mailbox:
    connection = _connection_of(scope)
    if connection is None:
        return Mailbox()

    def written(text: bytes) -> bool:
        done = connection.written(text)
        out.n += done
        return done

    return Mailbox(written)


def _origins_of(settings: Settings) -> frozenset[str]:
    ours = () if settings.public_url is None else (_origin_of(settings.public_url),)
    return frozenset(origin.rstrip("/") for origin in (*settings.cors_origins, *ours))


def _origin_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
