"""Routes that keep the contract's order of errors: who, how often, then the body as bytes, then its shape."""

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any

from fastapi import APIRouter, Request
from fastapi.routing import APIRoute
from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from parlor.core.shared.errors import ParlorError, TooMany
from parlor.entrypoints.http.auth import (
    admit,
    asks_who,
    identify,
    must_be_open,
    must_be_unambiguous,
    takes_tickets,
)
from parlor.entrypoints.http.binding import Binding, takes_json
from parlor.entrypoints.http.body import must_be_plain, read_body
from parlor.entrypoints.http.call import Call, call_of
from parlor.entrypoints.http.forms import BodyReader
from parlor.entrypoints.http.limits import AddressLimit, limits_of

BASE = "/api/v1"

Handle = Callable[[Request], Coroutine[Any, Any, Response]]
Entrance = Callable[[Call, Scope], Awaitable[None]]


class RestConvertor(Convertor[str]):
    """`{name:rest}`: all that is left of a path, slashes and line breaks too, where `path` stops at a line break."""

    regex = r"[\s\S]+"

    def convert(self, value: str) -> str:
        """Take it as it is."""
        return value

    def to_string(self, value: str) -> str:
        """Write it as it is."""
        return value


class OtherConvertor(Convertor[str]):
    """`{name:other}`: a segment that is no word with routes of its own, so that a wrong method there is told as one."""

    regex = r"(?!(?:me|batch)(?:/|$))[^/]+"

    def convert(self, value: str) -> str:
        """Take it as it is."""
        return value

    def to_string(self, value: str) -> str:
        """Write it as it is."""
        return value


register_url_convertor("rest", RestConvertor())
register_url_convertor("other", OtherConvertor())


class ReadRequest(Request):
    """A request whose body has been read and checked: the framework takes it from here."""

    def __init__(self, request: Request, raw: bytes, value: Any) -> None:
        super().__init__(request.scope, request.receive)
        self._raw = raw
        self._value = value

    async def body(self) -> bytes:
        """Give the bytes."""
        return self._raw

    async def json(self) -> Any:
        """Give what the strict reader made of them."""
        return self._value


class Route(APIRoute):
    """A route that is closed when its endpoint asks who calls, and reads JSON when it asks for a body.

    Endpoints of the plain shape are called directly; FastAPI's own handler serves the others, in the same order.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        binding = Binding.of(self)
        self.is_direct = binding is not None
        if binding is not None:
            self.app = _forgiving(_direct(endpoint, binding, self), self.limits)

    @property
    def closed(self) -> bool:
        """Whether it needs a credential."""
        return asks_who(self.dependant)

    @property
    def takes_tickets(self) -> bool:
        """Whether a ticket is a credential here."""
        return takes_tickets(self.dependant)

    @property
    def limits(self) -> Sequence[AddressLimit]:
        """How often each address may try."""
        return limits_of(self.dependant)

    @property
    def reader(self) -> BodyReader:
        """What reads its bodies."""
        return BodyReader.of(self.dependant)

    @property
    def scopes(self) -> Sequence[str] | None:
        """The scopes of which an API key needs one here: none where only people count, None where the use case asks."""
        extra: Mapping[str, Any] = self.openapi_extra or {}
        return extra.get("x-key-scopes")

    @property
    def entrance(self) -> Entrance:
        """What must be passed first: who calls, where that is asked, then how often."""
        steps: list[Entrance] = [limit.take for limit in self.limits]
        if self.closed:
            steps.insert(0, admit if self.takes_tickets else identify)
        else:
            steps.insert(0, must_be_unambiguous)
        return _in_turn(steps) if len(steps) > 1 else steps[0]

    def get_route_handler(self) -> Handle:
        """Put what must come first before the framework's own handler."""
        handle = super().get_route_handler()
        if takes_json(self):
            handle = _with_json(handle, self)
        return _entered(handle, self.entrance, self)


def api_router(tag: str) -> APIRouter:
    """Make the router of one context."""
    return APIRouter(prefix=BASE, tags=[tag], route_class=Route, generate_unique_id_function=operation_id)


def operation_id(route: APIRoute) -> str:
    """Name an operation after its endpoint."""
    return route.name


def _direct(endpoint: Callable[..., Awaitable[Response]], binding: Binding, route: Route) -> ASGIApp:
    entrance, scopes, reader = route.entrance, route.scopes, route.reader
    refused = _refused(binding, route)

    async def direct(scope: Scope, receive: Receive, send: Send) -> None:
        call = call_of(scope)
        try:
            await entrance(call, scope)
        except TooMany:
            await refused(call, scope, receive)
            raise
        if binding.body is not None:
            sent = await _value(call, receive, reader, needed=binding.body.needed)
        else:
            sent = None
            await _pass_over(call, receive)
        arguments = binding.arguments(call, scope, receive, sent)
        must_be_open(call, scopes)
        answer = await endpoint(**arguments)
        await answer(scope, receive, send)

    return direct


def _refused(binding: Binding, route: Route) -> Callable[[Call, Scope, Receive], Awaitable[None]]:
    """Tell of a request that was one too many, where a limit wants that; the answer is the same if that fails."""
    telling = [limit for limit in route.limits if limit.refused is not None]
    reader, field = route.reader, binding.body

    async def refused(call: Call, scope: Scope, receive: Receive) -> None:
        if field is None or not telling:
            return
        with suppress(ParlorError, ClientDisconnect):
            body, errors = field.check(await _value(call, receive, reader), loc=field.place)
            for limit in telling if not errors else ():
                await limit.tell(body, call, scope)

    return refused


def _in_turn(steps: Sequence[Entrance]) -> Entrance:
    async def in_turn(call: Call, scope: Scope) -> None:
        for step in steps:
            await step(call, scope)

    return in_turn


def _forgiving(app: ASGIApp, limits: Sequence[AddressLimit]) -> ASGIApp:
    """Count no success where only failures count: an error would have been raised."""
    forgiving = [limit for limit in limits if limit.rule.failures_only]

    async def forgive(scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope, receive, send)
        for limit in forgiving:
            await limit.give_back(scope)

    return forgive if forgiving else app


def _entered(handle: Handle, entrance: Entrance, route: Route) -> Handle:
    async def entered(request: Request) -> Response:
        await entrance(call_of(request.scope), request.scope)
        must_be_open(call_of(request.scope), route.scopes)
        answer = await handle(request)
        for limit in route.limits:
            if limit.rule.failures_only:
                await limit.give_back(request.scope)
        return answer

    return entered


def _with_json(handle: Handle, route: Route) -> Handle:
    async def with_json(request: Request) -> Response:
        call = call_of(request.scope)
        value = await _value(call, request.receive, route.reader)
        return await handle(ReadRequest(request, call.raw_body, value))

    return with_json


async def _pass_over(call: Call, receive: Receive) -> None:
    """Read a body that the route has no use for, all of it: what is too large or broken off is refused."""
    if call.has_body:
        must_be_plain(call)
        await read_body(receive)


async def _value(call: Call, receive: Receive, reader: BodyReader, *, needed: bool = True) -> Any:
    """Read the body; nothing at all is None where none is needed, as `null` is."""
    call.raw_body = await read_body(receive)
    return reader.read(call, call.raw_body) if call.raw_body or needed else None
