"""Who calls: the credential of a request, and the principal that it stands for."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, cast
from urllib.parse import parse_qs

from fastapi import Depends, Request
from fastapi.dependencies.models import Dependant
from starlette.types import Scope

from parlor.core.identity.api_keys import KeyPrincipal
from parlor.core.identity.api_keys_use_cases import AuthenticateKey
from parlor.core.identity.model import InvalidToken
from parlor.core.identity.use_cases import Authenticate, Principal
from parlor.core.shared.actor import Actor, PermissionMissing, PersonRequired
from parlor.core.shared.errors import Unauthenticated
from parlor.entrypoints.http.call import AnyPrincipal, Call, call_of
from parlor.entrypoints.http.clients import Proxies

SCHEME = b"bearer "


class AmbiguousCredentials(InvalidToken):
    """Send one credential: `Authorization`, `X-API-Key` or, where one is taken, a ticket."""

    code = "ambiguous_credentials"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who opened a stream, and the question who that is now; it raises Unauthenticated once they are nobody."""

    principal: AnyPrincipal
    again: Callable[[], Awaitable[AnyPrincipal]]


async def identify(call: Call, scope: Scope) -> None:
    """Find the principal of this call. Raises Unauthenticated, InvalidToken, AmbiguousCredentials, TooMany."""
    if call.credentials != 1:
        raise AmbiguousCredentials if call.credentials else Unauthenticated
    authorization = call.headers.get(b"authorization")
    if authorization is None:
        authenticate_key: AuthenticateKey = scope["app"].state.authenticate_key
        shown = call.headers[b"x-api-key"].strip().decode("latin-1")
        call.principal = await authenticate_key(shown, network=_network(call, scope))
        return
    if authorization[: len(SCHEME)].lower() != SCHEME:
        raise InvalidToken
    authenticate: Authenticate = scope["app"].state.authenticate
    call.principal = await authenticate(authorization[len(SCHEME) :].strip().decode("latin-1"))


async def must_be_unambiguous(call: Call, scope: Scope) -> None:
    """Let anybody in but who shows two credentials, where none is asked for. Raises AmbiguousCredentials."""
    del scope
    if call.credentials > 1:
        raise AmbiguousCredentials


def _network(call: Call, scope: Scope) -> str:
    proxies: Proxies = scope["app"].state.proxies
    return proxies.client_of(call, scope).network


async def admit(call: Call, scope: Scope) -> None:
    """As `identify`, where a one-use ticket in the query counts too. Raises InvalidTicket as well."""
    state = scope["app"].state
    tickets = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True).get("ticket", [])
    if tickets and call.credentials + len(tickets) > 1:
        raise AmbiguousCredentials
    if tickets:
        call.again = partial(state.stand_for, await state.redeem(tickets[0]))
    else:
        call.again = partial(_identified, call, scope)
    call.principal = await call.again()


async def _identified(call: Call, scope: Scope) -> AnyPrincipal:
    await identify(call, scope)
    return _found(call)


def _found(call: Call) -> AnyPrincipal:
    return cast("AnyPrincipal", call.principal)


def principal_of(call: Call) -> Principal:
    """Give the principal that the route found before it read the body. Raises PersonRequired for an API key's."""
    if isinstance(call.principal, KeyPrincipal):
        raise PersonRequired
    return cast("Principal", call.principal)


def caller_of(call: Call) -> Caller:
    """Give whoever opens a stream."""
    return Caller(_found(call), cast("Callable[[], Awaitable[AnyPrincipal]]", call.again))


def actor_of(call: Call) -> Actor:
    """Give the actor that use cases ask for."""
    return _found(call).actor


def must_be_open(call: Call, scopes: Sequence[str] | None) -> None:
    """Raise PersonRequired for an API key where none counts, PermissionMissing where it holds none of the scopes.

    With None any key is taken as far as this: the use case asks for what it needs.
    """
    if scopes is None or not isinstance(call.principal, KeyPrincipal):
        return
    if not scopes:
        raise PersonRequired
    if not any(map(call.principal.actor.may, scopes)):
        raise PermissionMissing(f"A key needs the scope {' or '.join(scopes)} for this.")


async def _current_principal(request: Request) -> Principal:
    return principal_of(call_of(request.scope))


async def _current_actor(request: Request) -> Actor:
    return actor_of(call_of(request.scope))


async def _stream_caller(request: Request) -> Caller:
    return caller_of(call_of(request.scope))


CurrentPrincipal = Annotated[Principal, Depends(_current_principal)]
CurrentActor = Annotated[Actor, Depends(_current_actor)]
StreamCaller = Annotated[Caller, Depends(_stream_caller)]
_TAKEN: Mapping[object, Callable[[Call], object]] = {
    _current_principal: principal_of,
    _current_actor: actor_of,
    _stream_caller: caller_of,
}


def takers_of(dependant: Dependant) -> dict[str, Callable[[Call], object]]:
    """Find the endpoint's parameters that take the caller, and what each of them takes."""
    return {str(part.name): _TAKEN[part.call] for part in dependant.dependencies if part.call in _TAKEN}


def asks_who(dependant: Dependant) -> bool:
    """Whether an endpoint takes the caller: such a route is closed to everybody else."""
    return bool(takers_of(dependant)) or any(map(asks_who, dependant.dependencies))


def takes_tickets(dependant: Dependant) -> bool:
    """Whether an endpoint opens a stream, so that a ticket is a credential for it."""
    return any(part.call is _stream_caller for part in dependant.dependencies)
