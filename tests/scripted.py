"""A server that answers what a test says, over HTTP and WebSocket: for clients that must bear anything."""

import asyncio
import inspect
import json
import ssl
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import uvicorn
from uvicorn.server import ServerState

from tests.waiting import eventually

BASE = "/api/v1"
HELLO = {"type": "hello", "max_frame": 65_536, "heartbeat_s": 20, "retry_jitter_s": 0.001}


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asked."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Reply:
    """What it is told; several parts are sent one by one."""

    status: int = 200
    json: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    parts: tuple[bytes, ...] = ()


def problem(status: int, code: str, **headers: str) -> Reply:
    body = {"status": status, "code": code, "detail": "No.", "request_id": "r1"}
    return Reply(status, body, {name.replace("_", "-"): value for name, value in headers.items()})


Handler = Callable[[Request], Reply | Awaitable[Reply]]


class Gone(Exception):
    """The client has left."""


@dataclass(slots=True)
class Peer:
    """One WebSocket, as its server has it."""

    receive: Callable[[], Awaitable[Any]]
    send: Callable[[Any], Awaitable[None]]
    closed_with: int | None = None

    async def hears(self, sort: str | None = None) -> dict[str, Any]:
        """Wait for a frame, of this type where one is named. Raises Gone."""
        while True:
            event = await self.receive()
            if event["type"] == "websocket.disconnect":
                self.closed_with = event["code"]
                raise Gone
            frame: dict[str, Any] = json.loads(event["text"])
            if sort is None or frame["type"] == sort:
                return frame

    async def says(self, *frames: Any) -> None:
        for frame in frames:
            text = frame if isinstance(frame, str) else json.dumps(frame)
            await self.send({"type": "websocket.send", "text": text})

    async def closes(self, code: int = 1012) -> None:
        await self.send({"type": "websocket.close", "code": code})


Script = Callable[[Peer], Awaitable[None]]


class Scripted:
    """Answers HTTP by `on`, and plays one script a WebSocket, the last one ever again; notes what it was asked."""

    def __init__(self) -> None:
        self.base = ""
        self.requests: list[Request] = []
        self.peers: list[Peer] = []
        self.errors: list[BaseException] = []
        self._handlers: dict[str, deque[Handler]] = {}
        self._scripts = deque[Script]()
        self._tickets: set[str] = set()
        self.on("POST /realtime/tickets", self._ticket)

    def on(self, route: str, *handlers: Handler | Reply) -> None:
        """Answer this route so, one after the other, and the last one from then on."""
        self._handlers[route] = deque(_handler(one) for one in handlers)

    def play(self, *scripts: Script) -> None:
        """Play these to the next WebSockets."""
        self._scripts = deque(scripts)

    def asked(self, route: str) -> list[Request]:
        return [one for one in self.requests if f"{one.method} {one.path}" == route]

    def _ticket(self, _: Request) -> Reply:
        self._tickets.add(ticket := f"t{len(self.requests)}")
        return Reply(201, {"ticket": ticket, "expires_in": 30})

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Be an ASGI application."""
        try:
            await (self._http if scope["type"] == "http" else self._websocket)(scope, receive, send)
        except Gone:
            pass
        except BaseException as error:
            self.errors.append(error)
            raise

    async def _http(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            event = await receive()
            body, more = body + event.get("body", b""), event.get("more_body", False)
        request = Request(
            scope["method"],
            scope["path"].removeprefix(BASE),
            dict(parse_qsl(scope["query_string"].decode())),
            {name.decode(): value.decode() for name, value in scope["headers"]},
            body,
        )
        self.requests.append(request)
        handlers = self._handlers[f"{request.method} {request.path}"]
        handler = handlers.popleft() if len(handlers) > 1 else handlers[0]
        made = handler(request)
        reply = await made if inspect.isawaitable(made) else made
        await _answer(reply, send)

    async def _websocket(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        ticket = dict(parse_qsl(scope["query_string"].decode())).get("ticket", "")
        if ticket not in self._tickets:
            await send({"type": "websocket.close"})
            return
        self._tickets.remove(ticket)
        script = self._scripts.popleft() if len(self._scripts) > 1 else self._scripts[0]
        await send({"type": "websocket.accept"})
        peer = Peer(receive, send)
        self.peers.append(peer)
        await script(peer)
        while True:
            await peer.hears()


def _handler(answer: Handler | Reply) -> Handler:
    return (lambda _: answer) if isinstance(answer, Reply) else answer


async def _answer(reply: Reply, send: Any) -> None:
    body = b"" if reply.json is None else json.dumps(reply.json).encode()
    headers = {"content-type": "application/json"} | reply.headers
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": reply.status, "headers": raw})
    for part in reply.parts:
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def a_scripted_server(tls: ssl.SSLContext | None = None) -> AsyncIterator[Scripted]:
    """Serve on loopback; what a script asserts is raised here."""
    scripted, state = Scripted(), ServerState()
    config = uvicorn.Config(scripted, ws="websockets-sansio", lifespan="off", log_config=None)
    config.load()
    protocol: Any = config.http_protocol_class
    # Not uvicorn's own server: it looks ten times a second whether it should end, and each test has a server.
    serving = await asyncio.get_running_loop().create_server(
        lambda: protocol(config=config, server_state=state, app_state={}), "127.0.0.1", 0, ssl=tls
    )
    where = "http://127.0.0.1" if tls is None else "https://localhost"
    scripted.base = f"{where}:{serving.sockets[0].getsockname()[1]}"
    try:
        yield scripted
    finally:
        serving.close()
        for connection in list(state.connections):
            connection.transport.abort()
        await eventually(lambda: not state.tasks)
    assert scripted.errors == []
