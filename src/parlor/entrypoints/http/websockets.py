"""uvicorn's WebSockets with the limits that they lack: what a peer who takes nothing, or says half, may cost."""

import asyncio
import logging
import socket
from collections.abc import Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.datastructures import Headers
from websockets.exceptions import InvalidState
from websockets.frames import Frame
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol

from parlor.config import Settings
from parlor.core.shared.errors import ParlorError
from parlor.entrypoints.http.call import new_request_id
from parlor.entrypoints.http.errors import PROBLEM, BadRequest, InternalError, problem_json, status_of
from parlor.entrypoints.http.middleware import common_headers
from parlor.entrypoints.http.streams import CONNECTION

SEND_BUFFER_BYTES = 131_072  # the kernel's own would grow to megabytes for a peer who reads nothing
MOST_FRAGMENTS = 64
LINGER_S = 30.0
FAREWELL_S = 2.0
TOO_BIG = 1009

# uvicorn writes each address with its query, where the ticket is; ours is the line of the edge.
_silent = logging.getLogger("parlor.websockets")
_silent.setLevel(logging.CRITICAL)


class UpgradeRefused(BadRequest):
    """This is no WebSocket handshake as RFC 6455 has it."""

    code = "invalid_handshake"


class Handshakes(ServerProtocol):
    """Answers with problems, like every other route."""

    settings: Settings

    def reject(self, status: HTTPStatus | int, text: str) -> Response:  # noqa: ARG002 - its words; ours are a problem
        """Refuse what is no handshake, or answer for what went wrong here."""
        return self.refusal(
            InternalError() if status >= HTTPStatus.INTERNAL_SERVER_ERROR else UpgradeRefused()
        )

    def refusal(self, error: ParlorError) -> Response:
        """Write the problem as an answer."""
        request_id = new_request_id()
        body = problem_json(error, request_id)
        status = HTTPStatus(status_of(type(error)))
        headers = Headers([(name.decode(), value.decode()) for name, value in common_headers(self.settings)])
        headers["X-Request-ID"] = request_id
        headers["Content-Type"] = PROBLEM
        headers["Content-Length"] = str(len(body))
        headers["Connection"] = "close"
        return Response(status.value, status.phrase, headers, body)


class LimitedWebSocket(WebSocketsSansIOProtocol):
    """One connection; what it may cost in memory is known, whatever its peer does."""

    settings: Settings

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.logger = _silent
        self.conn = Handshakes(max_size=self.config.ws_max_size, logger=_silent)
        self.conn.settings = self.settings

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Bound what the kernel keeps for the peer."""
        super().connection_made(transport)
        connected = transport.get_extra_info("socket")
        if connected is not None:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)

    def data_received(self, data: bytes) -> None:
        """Take bytes; a handshake that cannot be read is refused rather than left alone."""
        super().data_received(data)
        if not self.handshake_initiated and not self.transport.is_closing():
            self._refuse()

    def handle_connect(self, event: Request) -> None:
        """Let the application reach the connection."""
        super().handle_connect(event)
        if hasattr(self, "scope"):
            self.scope[CONNECTION] = self  # type: ignore[literal-required]  # ours

    def handle_ping(self) -> None:
        """Answer, unless the peer does not take the answers: they would be kept for it."""
        output = b"".join(self.conn.data_to_send())
        if self.writable.is_set():
            self.transport.write(output)

    def handle_cont(self, event: Frame) -> None:
        """Take a fragment; a message has 64 at most, since an empty one costs memory too."""
        if len(self.frames) >= MOST_FRAGMENTS:
            self.leave((), TOO_BIG)
            return
        super().handle_cont(event)

    def keepalive_timeout(self) -> None:
        """Close, and do not wait for a peer who is not there."""
        super().keepalive_timeout()
        self.loop.call_later(FAREWELL_S, self.transport.abort)

    def shutdown(self) -> None:
        """Say that the server restarts (1012), and do not wait for a peer who takes nothing."""
        super().shutdown()
        self.loop.call_later(FAREWELL_S, self.transport.abort)

    def written(self, text: bytes) -> bool:
        """Write a text at once, unless the reader has to take others first, or takes no more; tell which."""
        if not self.writable.is_set() or self.close_sent or self.disconnected:
            return False
        try:
            self.conn.send_text(text)
        except InvalidState:  # the peer has said goodbye
            return False
        self.transport.write(b"".join(self.conn.data_to_send()))
        return True

    def leave(self, texts: Sequence[bytes], code: int) -> None:
        """Say these and the code, past what still waits to be written; drop the connection after 30 s at most."""
        if self.close_sent or self.disconnected:
            return
        with suppress(InvalidState):  # the peer has said goodbye first
            for text in texts:
                self.conn.send_text(text)
            self.conn.send_close(code)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.stop_keepalive()
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": ""})
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self.close_timer = self.loop.call_later(LINGER_S, self.transport.abort)

    def _refuse(self) -> None:
        assert isinstance(self.conn, Handshakes)
        answer = self.conn.refusal(UpgradeRefused())
        self.transport.write(answer.serialize())
        self.transport.close()
