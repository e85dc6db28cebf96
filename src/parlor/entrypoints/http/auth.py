"""Who calls: the credential of a request, and the principal that it stands for."""

from collections.abc import Callable, Mapping
from typing import Annotated, cast

from fastapi import Depends, Request
from fastapi.dependencies.models import Dependant

from parlor.core.identity.model import InvalidToken
from parlor.core.identity.use_cases import Authenticate, Principal
from parlor.core.shared.actor import Actor
from parlor.core.shared.errors import Unauthenticated
from parlor.entrypoints.http.call import Call, call_of

SCHEME = b"bearer "


class AmbiguousCredentials(InvalidToken):
    """Send one credential: `Authorization` or `X-API-Key`."""

    code = "ambiguous_credentials"


async def identify(call: Call, authenticate: Authenticate) -> None:
    """Find the principal of this call. Raises Unauthenticated, InvalidToken, AmbiguousCredentials."""
    if call.credentials != 1:
        raise AmbiguousCredentials if call.credentials else Unauthenticated
    authorization = call.headers.get(b"authorization")
    if authorization is None or authorization[: len(SCHEME)].lower() != SCHEME:
        raise InvalidToken  # an API key is none yet
    call.principal = await authenticate(authorization[len(SCHEME) :].strip().decode("latin-1"))


def principal_of(call: Call) -> Principal:
    """Give the principal that the route found before it read the body."""
    return cast("Principal", call.principal)


def actor_of(call: Call) -> Actor:
    """Give the actor that use cases ask for."""
    return principal_of(call).actor


async def _current_principal(request: Request) -> Principal:
    return principal_of(call_of(request.scope))


async def _current_actor(request: Request) -> Actor:
    return actor_of(call_of(request.scope))


CurrentPrincipal = Annotated[Principal, Depends(_current_principal)]
CurrentActor = Annotated[Actor, Depends(_current_actor)]
_TAKEN: Mapping[object, Callable[[Call], object]] = {
    _current_principal: principal_of,
    _current_actor: actor_of,
}


def takers_of(dependant: Dependant) -> dict[str, Callable[[Call], object]]:
    """Find the endpoint's parameters that take the caller, and what each of them takes."""
    return {str(part.name): _TAKEN[part.call] for part in dependant.dependencies if part.call in _TAKEN}


def asks_who(dependant: Dependant) -> bool:
    """Whether an endpoint takes the caller: such a route is closed to everybody else."""
    return bool(takers_of(dependant)) or any(map(asks_who, dependant.dependencies))
