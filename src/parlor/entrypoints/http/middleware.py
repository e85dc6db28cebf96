"""What every request passes: its id, limits on its body, headers on its answer, one line in the log."""

import time
from collections.abc import Awaitable, Callable

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from parlor.config import Settings
from parlor.core.shared.meters import Meters
from parlor.core.shared.spans import Fact, Span, SpanKind, Tracer
from parlor.core.shared.tracing import enter_trace, leave_trace
from parlor.entrypoints.http.body import LimitedBody
from parlor.entrypoints.http.call import KEY, Call, template_of
from parlor.entrypoints.http.cors import Cors, Headers
from parlor.entrypoints.http.errors import InternalError, problem
from parlor.entrypoints.http.request_meter import RequestMeter
from parlor.lines import DEBUG, INFO, named, present_request, tell

API_POLICY = "default-src 'none'; frame-ancestors 'none'"
UPGRADED = 101
CLIENT_GONE = 499  # nginx's word for it: nobody is there to read an answer
SERVER_ERRORS = 500
QUIET = frozenset({"/healthz", "/readyz", "/metrics"})

log = structlog.stdlib.get_logger("parlor.http")


class Edge:
    """The outermost layer of the application: pure ASGI, because each request pays for it."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        settings: Settings,
        meters: Meters | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        self._app = app
        self._tracer = tracer
        self._max_body = settings.max_body_bytes
        self._idle_s = settings.header_timeout_s
        self._cors = Cors(settings.cors_origins)
        self._common = common_headers(settings)
        self._requests = RequestMeter(meters or Meters())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        scope.setdefault("method", "GET")  # of a WebSocket's handshake: any other is none
        call = scope[KEY] = Call.of(scope)
        started = time.perf_counter()
        self._requests.in_flight += 1
        span = None if self._tracer is None else _begin(self._tracer, call, scope)
        request, trace = present_request.set(call.request_id), enter_trace(call.traceparent)
        try:
            await self._answer(call, scope, receive, self._marking(call, scope["method"], send))
        finally:
            took_s = time.perf_counter() - started
            self._count(call, scope, took_s)
            _tell(call, scope, took_s)
            if span is not None:
                _end(span, call, scope)
            leave_trace(trace)
            present_request.reset(request)

    def _count(self, call: Call, scope: Scope, seconds: float) -> None:
        """Count the answer; a WebSocket that was opened is none, and its hours are no latency."""
        if call.status != UPGRADED:
            self._requests.in_flight -= 1
            self._requests.ended(scope, call.status, seconds)

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
            call.status, call.code = CLIENT_GONE, "client_gone"
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
                    self._requests.in_flight -= 1
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


def _tell(call: Call, scope: Scope, took_s: float) -> None:
    line = {
        "event": "request",
        "method": scope["method"],
        "route": template_of(scope),
        "status": call.status,
        "actor": None if call.principal is None else named(call.principal.actor),
        "outcome": call.code or "ok",
        "duration_ms": round(took_s * 1000, 2),
    }
    tell(line, level=DEBUG if scope["path"] in QUIET else INFO)


def _begin(tracer: Tracer, call: Call, scope: Scope) -> Span | None:
    """Begin the request's span, and have what follows belong to it. A WebSocket has one a frame, a probe has none."""
    if scope["type"] != "http" or scope["path"] in QUIET:
        return None
    facts = {"http.request.method": scope["method"], "url.scheme": scope["scheme"]}
    span = tracer.begin(scope["method"], SpanKind.SERVER, parent=call.traceparent, facts=facts)
    call.traceparent = span.traceparent
    return span


def _end(span: Span, call: Call, scope: Scope) -> None:
    """Say what it was. Neither path nor query is told: they hold ids, and whatever a stranger puts there."""
    outcome, route = call.code or "ok", template_of(scope)
    facts: dict[str, Fact] = {
        "http.response.status_code": call.status,
        "parlor.request_id": call.request_id,
        "parlor.outcome": outcome,
    }
    if route is not None:
        span.rename(f"{scope['method']} {route}")
        facts["http.route"] = route
    if call.principal is not None:
        facts["parlor.actor"] = named(call.principal.actor)
    span.note(facts)
    span.end(error=outcome if call.status >= SERVER_ERRORS else None)
