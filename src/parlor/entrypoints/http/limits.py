"""Limits by address, at the door of a route: counted after who calls, before the body is read."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from fastapi import Depends
from fastapi.dependencies.models import Dependant
from starlette.types import Scope

from parlor.core.identity.model import Client
from parlor.core.identity.throttling import Rule, Throttle
from parlor.entrypoints.http.call import Call, call_of
from parlor.entrypoints.http.clients import Proxies

Refused = Callable[[Any, Client], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class AddressLimit:
    """One rule that every address has a bucket of; `refused` hears of the bodies that it kept out."""

    rule: Rule
    refused: Refused | None = None

    async def __call__(self) -> None:
        """Do nothing: the route has counted before the framework's turn."""

    async def take(self, call: Call, scope: Scope) -> None:
        """Count this try. Raises TooMany."""
        await _throttle(scope).take(self.rule, _network(call, scope))

    async def give_back(self, scope: Scope) -> None:
        """Take it back, after all went well."""
        await _throttle(scope).give_back(self.rule, _network(call_of(scope), scope))

    async def tell(self, body: object, call: Call, scope: Scope) -> None:
        """Say what this limit kept out, and whose it was."""
        if self.refused is not None:
            await self.refused(body, _client(call, scope))


def per_address(rule: Rule, *, refused: Refused | None = None) -> Any:
    """Say in a route's `dependencies` that each address may try so often, and who is told of what was refused."""
    return Depends(AddressLimit(rule, refused))


def limits_of(dependant: Dependant) -> list[AddressLimit]:
    """Find the limits that a route names."""
    return [part.call for part in dependant.dependencies if isinstance(part.call, AddressLimit)]


def _throttle(scope: Scope) -> Throttle:
    throttle: Throttle = scope["app"].state.throttle
    return throttle


def _client(call: Call, scope: Scope) -> Client:
    proxies: Proxies = scope["app"].state.proxies
    return proxies.client_of(call, scope)


def _network(call: Call, scope: Scope) -> str:
    return _client(call, scope).network
