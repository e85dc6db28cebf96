"""uvicorn with the limits that it lacks: a deadline and a size for the head of a request."""

import asyncio
import socket
import sys
from collections.abc import Sequence
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from parlor.config import Settings
from parlor.core.shared.errors import Busy
from parlor.entrypoints.garbage import spare_what_is_made
from parlor.entrypoints.http.call import call_of
from parlor.entrypoints.http.conversation import MAX_FRAME
from parlor.entrypoints.http.errors import problem
from parlor.entrypoints.http.framing import FramedProtocol
from parlor.entrypoints.http.leaving import LeavingServer
from parlor.entrypoints.http.middleware import Edge
from parlor.entrypoints.http.outflow import Outflow
from parlor.entrypoints.http.realtime_socket import HEARTBEAT_S
from parlor.entrypoints.http.streams import CONNECTION
from parlor.entrypoints.http.websockets import LimitedWebSocket

MAX_CONNECTIONS = 10_000  # each WebSocket is one
KEEP_ALIVE_S = 15


class HeadTimeoutProtocol(FramedProtocol):
    """Closes connections that owe us something: the rest of a head, of an unwanted body, or to read an answer."""

    full: ASGIApp
    ending: asyncio.Event
    leaving: asyncio.Event
    _deadline: asyncio.TimerHandle | None = None
    _outflow: Outflow

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Begin to wait for the first head."""
        super().connection_made(transport)
        self._outflow = Outflow(transport)
        self._expect()

    def data_received(self, data: bytes) -> None:
        """Take bytes; while no request is being answered they must add up to something in time.

        Half a head behind a request that is being answered has uvicorn's keep-alive time from the answer on.
        """
        if not self._answering():
            self._expect()
        super().data_received(data)

    def on_headers_complete(self) -> None:
        """Stop waiting: what follows is the application's, with limits of its own."""
        self._satisfied()
        # uvicorn's own limit answers in plain text.
        self.app = self.full if len(self.connections) > MAX_CONNECTIONS else self.config.loaded_app
        self.scope[CONNECTION] = self  # type: ignore[literal-required]  # ours, for streams
        super().on_headers_complete()
        if self.leaving.is_set() and self._answering():
            self.cycle.keep_alive = False  # the client is told with the answer, and goes elsewhere

    def on_message_complete(self) -> None:
        """Stop waiting for the rest of a body that nobody read."""
        self._satisfied()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Begin to wait for the reader, who may leave the end of the answer where it is."""
        self._outflow.answered()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Begin to wait for the reader."""
        super().pause_writing()
        self._outflow.watch()

    def resume_writing(self) -> None:
        """Stop waiting for the reader."""
        super().resume_writing()
        self._outflow.rest()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadlines with the connection."""
        self._satisfied()
        self._outflow.rest()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """Tell streams that the server ends; it waits for what is being answered."""
        self.ending.set()
        super().shutdown()

    def abort(self) -> None:
        """Drop the connection with whatever its reader has not taken."""
        self.transport.abort()

    def _expect(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.settings.header_timeout_s, self._late)

    def _satisfied(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        self._deadline = None
        self.transport.close()


async def _full(scope: Scope, receive: Receive, send: Send) -> None:
    call = call_of(scope)
    call.code = Busy.code
    await problem(Busy(), call.request_id)(scope, receive, send)


def bind(host: str, port: int) -> socket.socket:
    """Take the address, before anything is started; ends the process with one line where it is taken."""
    try:
        return _bound(host, port)
    except OSError as error:
        raise SystemExit(f"cannot listen on {host} port {port}: {error.strerror or error}") from error


def _bound(host: str, port: int) -> socket.socket:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, address = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        if sys.platform != "win32":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    return listener


def make_server(app: ASGIApp, settings: Settings) -> LeavingServer:
    """Make a server that `serve(sockets=…)` runs, and `should_exit` ends."""
    leaving = asyncio.Event()
    fields: dict[str, Any] = {
        "settings": settings,
        "full": Edge(_full, settings=settings),
        "ending": asyncio.Event(),
        "leaving": leaving,
    }
    limited = type("Protocol", (HeadTimeoutProtocol,), fields)
    options: dict[str, Any] = {
        "http": limited,
        "ws": type("WebSocket", (LimitedWebSocket,), {"settings": settings}),
        "ws_max_size": 2 * MAX_FRAME,  # what is not much too large is told so in a frame
        "ws_ping_interval": float(HEARTBEAT_S),
        "ws_ping_timeout": float(HEARTBEAT_S),
        "ws_per_message_deflate": False,  # 64 KiB of memory a connection, for frames of 400 bytes
        "loop": "none" if sys.platform == "win32" else "uvloop",
        "lifespan": "on",
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,
        "timeout_keep_alive": KEEP_ALIVE_S,
        "timeout_graceful_shutdown": max(1, round(settings.drain_s)),
    }
    return LeavingServer(uvicorn.Config(app, **options), leaving=leaving, unready_s=settings.unready_s)


async def serve_quietly(server: uvicorn.Server, sockets: Sequence[socket.socket]) -> None:
    """Serve until `should_exit`, and leave the process's signals alone.

    uvicorn's own `serve` takes them over, and when it is done raises them again: that would end a process which
    still has something to put in order.
    """
    await server._serve(list(sockets))  # noqa: SLF001 - `serve` is this, inside the capture of signals


def serve(
    app: ASGIApp, host: str, port: int, settings: Settings, sockets: Sequence[socket.socket] | None = None
) -> None:
    """Serve until a signal comes."""
    listeners = list(sockets) if sockets is not None else [bind(host, port)]
    spare_what_is_made()
    make_server(app, settings).run(sockets=listeners)
