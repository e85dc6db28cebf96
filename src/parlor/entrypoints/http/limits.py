"""Limits by address, at the door of a route: counted after who calls, before the body is read."""

from dataclasses import dataclass
from typing import Any

from fastapi import Depends
from fastapi.dependencies.models import Dependant
from starlette.types import Scope

from parlor.core.identity.throttling import Rule, Throttle
from parlor.entrypoints.http.call import Call, call_of
from parlor.entrypoints.http.clients import Proxies


@dataclass(frozen=True, slots=True)
class AddressLimit:
    """One rule that every address has a bucket of."""

    rule: Rule

    async def __call__(self) -> None:
        """Do nothing: the route has counted before the framework's turn."""

    async def take(self, call: Call, scope: Scope) -> None:
        """Count this try. Raises TooMany."""
        await _throttle(scope).take(self.rule, _network(call, scope))

    async def give_back(self, scope: Scope) -> None:
        """Take it back, after all went well."""
        await _throttle(scope).give_back(self.rule, _network(call_of(scope), scope))


def per_address(rule: Rule) -> Any:
    """Say in a route's `dependencies` that each address may try so often."""
    return Depends(AddressLimit(rule))


def limits_of(dependant: Dependant) -> list[AddressLimit]:
    """Find the limits that a route names."""
    return [part.call for part in dependant.dependencies if isinstance(part.call, AddressLimit)]


def _throttle(scope: Scope) -> Throttle:
    throttle: Throttle = scope["app"].state.throttle
    return throttle


def _network(call: Call, scope: Scope) -> str:
    proxies: Proxies = scope["app"].state.proxies
    return proxies.client_of(call, scope).network
