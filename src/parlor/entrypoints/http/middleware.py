"""What every request passes: its id, limits on its body, headers on its answer, one line in the log."""

import time
from collections.abc import Awaitable, Callable

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars, reset_contextvars

from parlor.config import Settings
from parlor.core.shared.tracing import within_trace
from parlor.entrypoints.http.body import LimitedBody
from parlor.entrypoints.http.call import KEY, Call
from parlor.entrypoints.http.cors import Cors, Headers
from parlor.entrypoints.http.errors import InternalError, problem

API_POLICY = "default-src 'none'; frame-ancestors 'none'"
UPGRADED = 101
CLIENT_GONE = 499  # nginx's word for it: nobody is there to read an answer
QUIET = frozenset({"/healthz", "/readyz"})

log = structlog.stdlib.get_logger("parlor.http")


class Edge:
    """The outermost layer of the application: pure ASGI, because each request pays for it."""

    def __init__(self, app: ASGIApp, *, settings: Settings) -> None:
        self._app = app
        self._max_body = settings.max_body_bytes
        self._idle_s = settings.header_timeout_s
        self._cors = Cors(settings.cors_origins)
        self._common = common_headers(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        scope.setdefault("method", "GET")  # of a WebSocket's handshake: any other is none
        call = scope[KEY] = Call.of(scope)
        started = time.perf_counter()
        tokens = bind_contextvars(request_id=call.request_id)
        with within_trace(call.traceparent):
            try:
                await self._answer(call, scope, receive, self._marking(call, scope["method"], send))
            finally:
                _log_line(call, scope, started)
                reset_contextvars(**tokens)

    async def _answer(self, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
        if call.has_body:
            receive = LimitedBody(receive, call, max_bytes=self._max_body, idle_s=self._idle_s).receive
        try:
            if self._cors.is_preflight(call, scope["method"]):
                await send({"type": "http.response.start", "status": 204, "headers": []})
                await send({"type": "http.response.body"})
            else:
                await self._app(scope, receive, send)
        except ClientDisconnect:
            call.status = CLIENT_GONE
        except Exception as error:
            log.exception("unexpected_error", request_id=call.request_id, error=type(error).__name__)
            if call.status:
                raise  # the answer has begun: only a broken connection tells the client now
            call.code = InternalError.code
            await problem(InternalError(), call.request_id)(scope, receive, send)

    def _marking(self, call: Call, method: str, send: Send) -> Callable[[Message], Awaitable[None]]:
        """Wrap `send`: every answer gets the common headers, unless it brings its own."""

        def marked(message: Message) -> Awaitable[None]:
            match message["type"]:
                case "http.response.start" | "websocket.http.response.start":
                    call.status = message["status"]
                    message["headers"] = self._headers(call, method, message["headers"])
                case "websocket.accept":
                    call.status = UPGRADED
                    message["headers"] = [(b"x-request-id", call.request_id.encode())]
            return send(message)

        return marked

    def _headers(self, call: Call, method: str, own: Headers) -> Headers:
        names = {name for name, _ in own}
        common = [header for header in self._common if header[0] not in names]
        request_id = (b"x-request-id", call.request_id.encode())
        return [*own, request_id, *common, *self._cors.headers(call, method)]


def common_headers(settings: Settings) -> Headers:
    """Tell browsers to keep their hands off what an API answers."""
    headers = {
        "x-content-type-options": "nosniff",
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",
        "content-security-policy": API_POLICY,
    }
    if (settings.public_url or "").startswith("https://"):
        headers["strict-transport-security"] = "max-age=31536000"
    return [(name.encode(), value.encode()) for name, value in headers.items()]


def _log_line(call: Call, scope: Scope, started: float) -> None:
    route = getattr(scope.get("route"), "path_format", None)
    write = log.debug if scope["path"] in QUIET else log.info
    write(
        "request",
        request_id=call.request_id,
        method=scope["method"],
        route=route,
        status=call.status,
        duration_ms=round((time.perf_counter() - started) * 1000, 2),
        **({} if call.code is None else {"code": call.code}),
    )
