"""Routes that keep the contract's order of errors: who, then the body as bytes, then its shape."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from fastapi import APIRouter, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from parlor.entrypoints.http.auth import asks_who, identify, takers_of
from parlor.entrypoints.http.body import must_be_json, read_body
from parlor.entrypoints.http.call import call_of
from parlor.entrypoints.http.strict_json import read_json

BASE = "/api/v1"

Handle = Callable[[Request], Coroutine[Any, Any, Response]]


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

    An endpoint that takes nothing beside the caller is called directly: what FastAPI would look for in the
    request costs as much as the rest of it.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        if _takes_only_who(self.dependant):
            self.app = _direct(self.dependant, endpoint)

    @property
    def closed(self) -> bool:
        """Whether it needs a credential."""
        return asks_who(self.dependant)

    def get_route_handler(self) -> Handle:
        """Put what must come first before the framework's own handler."""
        handle = super().get_route_handler()
        if self.body_field is not None:
            handle = _with_json(handle)
        return _identified(handle) if self.closed else handle


def api_router(tag: str) -> APIRouter:
    """Make the router of one context."""
    return APIRouter(prefix=BASE, tags=[tag], route_class=Route, generate_unique_id_function=operation_id)


def operation_id(route: APIRoute) -> str:
    """Name an operation after its endpoint."""
    return route.name


def _identified(handle: Handle) -> Handle:
    async def identified(request: Request) -> Response:
        scope = request.scope
        await identify(call_of(scope), scope["app"].state.authenticate)
        return await handle(request)

    return identified


def _with_json(handle: Handle) -> Handle:
    async def with_json(request: Request) -> Response:
        call = call_of(request.scope)
        call.raw_body = await read_body(request.receive)
        if call.raw_body:
            must_be_json(call)
        return await handle(ReadRequest(request, call.raw_body, read_json(call.raw_body)))

    return with_json


def _takes_only_who(dependant: Dependant) -> bool:
    fields = (
        dependant.path_params,
        dependant.query_params,
        dependant.header_params,
        dependant.cookie_params,
        dependant.body_params,
    )
    takers = takers_of(dependant)
    return (
        len(takers) == len(dependant.dependencies) == 1
        and not any(fields)
        and not dependant.request_param_name
    )


def _direct(dependant: Dependant, endpoint: Callable[..., Awaitable[Response]]) -> ASGIApp:
    ((name, taken),) = takers_of(dependant).items()

    async def direct(scope: Scope, receive: Receive, send: Send) -> None:
        call = call_of(scope)
        await identify(call, scope["app"].state.authenticate)
        answer = await endpoint(**{name: taken(call)})
        await answer(scope, receive, send)

    return direct
