"""What is known of one request while it is answered."""

import os
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import cast

from starlette.routing import Mount
from starlette.types import Scope

from parlor.core.identity.api_keys import KeyPrincipal
from parlor.core.identity.use_cases import Principal
from parlor.core.shared.tracing import well_formed

KEY = "parlor.call"
TEMPLATE = "parlor.template"  # where a route knows its own better than its pattern tells

AnyPrincipal = Principal | KeyPrincipal

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


@dataclass(slots=True)
class Call:
    """One request: its headers by lower-case name, its id, and what is found out about it on the way."""

    headers: dict[bytes, bytes]
    credentials: int
    request_id: str
    traceparent: str | None
    principal: AnyPrincipal | None = None
    again: Callable[[], Awaitable[AnyPrincipal]] | None = None
    raw_body: bytes = b""
    status: int = 0
    code: str | None = None

    @classmethod
    def of(cls, scope: Scope) -> "Call":
        """Begin a call; the id and the trace are the client's own where they are well-formed."""
        headers: dict[bytes, bytes] = dict(scope["headers"])
        return cls(headers, _credentials(scope, headers), _request_id(headers), _traceparent(headers))

    def header(self, name: bytes) -> str | None:
        """Read a header as text, as it came."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    @property
    def has_body(self) -> bool:
        """Whether the client announced a body."""
        return self.headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in self.headers


def call_of(scope: Scope) -> Call:
    """Find the call that this scope belongs to."""
    return cast("Call", scope[KEY])


def template_of(scope: Scope) -> str | None:
    """Name the route by its template, mounts and all; a path may hold anything. None where there was none."""
    route = scope.get("route")
    if route is None:
        return None
    if isinstance(route, Mount):  # its own path has been added to the root by now
        return f"{scope['root_path']}/{{path}}"
    template: str = scope.get(TEMPLATE) or route.path_format
    return scope["root_path"] + template if scope.get("root_path") else template


def new_request_id() -> str:
    """Make an id for a request that brought none."""
    return os.urandom(12).hex()


def _credentials(scope: Scope, headers: dict[bytes, bytes]) -> int:
    """Count them; only where a header came twice, each line must be looked at."""
    if len(headers) == len(scope["headers"]):
        return (b"authorization" in headers) + (b"x-api-key" in headers)
    return sum(name in {b"authorization", b"x-api-key"} for name, _ in scope["headers"])


def _request_id(headers: dict[bytes, bytes]) -> str:
    given = headers.get(b"x-request-id")
    return given.decode() if given is not None and _REQUEST_ID.fullmatch(given) else new_request_id()


def _traceparent(headers: dict[bytes, bytes]) -> str | None:
    given = headers.get(b"traceparent")
    return None if given is None else well_formed(given.decode("latin-1"))
