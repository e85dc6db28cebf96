"""How a connection's bytes become requests: in slices, and only where a proxy could not read them in another way."""

import asyncio
from typing import Any

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from parlor.config import Settings
from parlor.core.shared.errors import ParlorError
from parlor.entrypoints.http.call import new_request_id
from parlor.entrypoints.http.errors import PROBLEM, BadRequest, HeadTooLarge, problem_json, status_of
from parlor.entrypoints.http.middleware import common_headers
from parlor.entrypoints.http.realtime_socket import PATH

MAX_HEAD_BYTES = 65_536
SLICE_BYTES = 4096
CHUNK_COST = 8  # bytes on the wire for one of a body: a chunk of one has six
SOCKET_PATH = PATH.encode()
VERSIONS = frozenset({"1.0", "1.1"})


class HeldFlow(FlowControl):
    """Lets nothing more in while something waits: uvicorn reads on for each request that it begins to answer."""

    held = False

    def resume_reading(self) -> None:
        """Read on, unless requests wait for their turn, or nothing more will come."""
        if not (self.held or self._transport.is_closing()):
            super().resume_reading()

    def pause_reading(self) -> None:
        """Read no more; uvloop takes it for a mistake where the connection is closed already."""
        if not self._transport.is_closing():
            super().pause_reading()


class FramedProtocol(HttpToolsProtocol):
    """Reads one slice at a time, and none while a request waits behind another one.

    uvicorn parses all that has come, and keeps each request that it finds: some thousands of a few bytes each.
    """

    settings: Settings
    _unread = b""
    _deaf = False
    _head_bytes = 0
    _begun: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Take the connection, with a flow of our own."""
        super().connection_made(transport)
        self.flow = HeldFlow(transport)

    def data_received(self, data: bytes) -> None:
        """Take bytes, and read as far as requests can be answered."""
        self._unset_keepalive_if_required()
        self._unread = self._unread + data if self._unread else data
        self._read_on()

    def on_response_complete(self) -> None:
        """Go on with what waits."""
        super().on_response_complete()
        if self._unread:
            self._read_on()

    def on_headers_complete(self) -> None:
        """Take a request. Raises BadRequest, which ends the connection, for a head that is not to be trusted."""
        self._head_bytes = 0
        self._must_be_clear()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Count what belongs to a body for no head, with what its chunks cost."""
        self._head_bytes = max(0, self._head_bytes - CHUNK_COST * len(body))
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Begin to count anew."""
        self._head_bytes = 0
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the request that is being answered, too; uvicorn tells the newest, which may wait behind it."""
        if self._begun is not None and not self._begun.response_complete:
            self._begun.disconnected = True
            self._begun.message_event.set()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's words; ours say the same
        """Answer what is no HTTP with a problem, too."""
        self.refuse(BadRequest())

    def refuse(self, error: ParlorError) -> None:
        """Answer what cannot be read on, and close; behind requests that are being answered only close, after them."""
        self._deaf, self._unread = True, b""
        if self.transport.is_closing():
            return
        if self._answering() and not self.cycle.more_body:
            self.cycle.keep_alive = False
            return
        if not self._answering() or not (self.cycle.response_started or self.pipeline):
            self.transport.write(self._problem(error))
        self.transport.close()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._begun = cycle
        super()._start_asgi_task(cycle, app)

    def _answering(self) -> bool:
        """Whether the newest request is still to be answered."""
        cycle = self.cycle  # None before the first request, whatever uvicorn declares
        return cycle is not None and not cycle.response_complete  # type: ignore[redundant-expr]  # declared never None

    def _read_on(self) -> None:
        data, at = self._unread, 0
        while at < len(data) and not (self.pipeline or self._deaf or self.transport.is_closing()):
            piece = data[at : at + SLICE_BYTES]
            at += len(piece)
            rest = self._fed(piece)
            if rest is not None:
                data, at = rest + data[at:], 0
        self._hold(b"" if self._deaf else data[at:])

    def _hold(self, unread: bytes) -> None:
        self._unread = unread
        if isinstance(self.flow, HeldFlow):
            self.flow.held = bool(unread)
        if unread:
            self.flow.pause_reading()

    def _fed(self, piece: bytes) -> bytes | None:
        """Read a slice; answers what is to be read in place of the rest of it, if anything is."""
        self._head_bytes += len(piece)
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade as wish:
            return self._upgraded(piece[wish.args[0] :])
        except httptools.HttpParserError:
            self.send_400_response("")
        if self._head_bytes > MAX_HEAD_BYTES:
            self.refuse(HeadTooLarge())
        return None

    def _should_upgrade(self) -> bool:
        """Let every wish for another protocol end the request's reading: it is granted, or the request read anew."""
        return True

    def _upgraded(self, rest: bytes) -> bytes | None:
        if self.parser.get_method() == b"CONNECT" or (self._wants_socket() and self._answering()):
            self.send_400_response("")
        elif self._wants_socket():
            self._deaf = True
            self.handle_websocket_upgrade()
        else:
            return self._without_wish() + rest
        return None

    def _wants_socket(self) -> bool:
        """Tell the one route that upgrades; on any other, who asks for it gets the answer of any other request."""
        named = self.url.partition(b"?")[0] == SOCKET_PATH and self.parser.get_method() == b"GET"
        return named and self._get_upgrade() == b"websocket"

    def _without_wish(self) -> bytes:
        """Write the head once more, without the wish: the parser would take no body after it.

        A server may ignore it (RFC 9110, 7.8), and clients that would rather speak HTTP/2 send it with everything.
        """
        first = b"%b %b HTTP/%b" % (
            self.parser.get_method(),
            self.url,
            self.parser.get_http_version().encode(),
        )
        kept = [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._head_bytes = 0
        return b"\r\n".join([first, *kept, b"", b""])

    def _must_be_clear(self) -> None:
        """Raise BadRequest where two readers could take the head for two things (RFC 9112, 2.3, 3.2 and 6.1)."""
        version = self.parser.get_http_version()
        hosts = sum(name == b"host" for name, _ in self.headers)
        codings = [value.lower() for name, value in self.headers if name == b"transfer-encoding"]
        if version not in VERSIONS or hosts > 1 or (version == "1.1" and hosts == 0):
            raise BadRequest
        if codings and (codings != [b"chunked"] or version == "1.0"):
            raise BadRequest

    def _problem(self, error: ParlorError) -> bytes:
        request_id = new_request_id()
        body = problem_json(error, request_id)
        headers: list[tuple[bytes, bytes]] = [
            *self.server_state.default_headers,
            *common_headers(self.settings),
            (b"x-request-id", request_id.encode()),
            (b"content-type", PROBLEM.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        head = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        line: Any = STATUS_LINE[status_of(type(error))]
        return b"".join([line, head, b"\r\n", body])
