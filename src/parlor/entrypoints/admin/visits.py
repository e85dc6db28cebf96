"""What is known of one request to the console: who asks, what their form says, and what they are told next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import cast

from markupsafe import Markup
from starlette.requests import Request
from starlette.types import Scope

from parlor.core.identity.model import Client
from parlor.core.identity.use_cases import Principal
from parlor.core.shared.actor import Actor
from parlor.core.shared.errors import Unauthenticated

KEY = "parlor.console"
CSRF = "csrf"
LONGEST = 400  # of a sentence: a few of them must fit into a cookie

Form = Mapping[str, Sequence[str]]


class Tone(StrEnum):
    """How it went."""

    DONE = "success"
    REFUSED = "danger"


@dataclass(slots=True)
class Asked:
    """One request; `principal` is None before the login, `cookies` are lines that its answer sets."""

    client: Client
    csrf: str
    principal: Principal | None = None
    form: Form = field(default_factory=dict)
    told: Sequence[tuple[str, str]] = ()
    tells: list[tuple[str, str]] = field(default_factory=list)
    cookies: list[str] = field(default_factory=list)

    def tell(self, tone: Tone, sentence: str) -> None:
        """Show a sentence on the next page."""
        self.tells.append((tone, sentence[:LONGEST]))

    def value(self, name: str) -> str:
        """Read a field of the form; empty where it has none."""
        return next(iter(self.form.get(name, ())), "")


def asked_in(scope: Scope) -> Asked:
    """Find what the gate found out."""
    return cast("Asked", scope[KEY])


def asked_of(request: Request) -> Asked:
    """Find what the gate found out."""
    return asked_in(request.scope)


def principal_in(asked: Asked) -> Principal:
    """Give who is signed in. Raises Unauthenticated."""
    if asked.principal is None:
        raise Unauthenticated
    return asked.principal


def principal_of(request: Request) -> Principal:
    """Give who is signed in. Raises Unauthenticated."""
    return principal_in(asked_of(request))


def actor_of(request: Request) -> Actor:
    """Give the actor that use cases ask for. Raises Unauthenticated."""
    return principal_of(request).actor


def may(request: Request, *permissions: str) -> bool:
    """Whether somebody is signed in who holds one of these."""
    principal = asked_of(request).principal
    return principal is not None and any(map(principal.actor.may, permissions))


def csrf_field(request: Request) -> Markup:
    """Write the hidden field that every form of the console needs."""
    return Markup('<input type="hidden" name="{}" value="{}">').format(CSRF, asked_of(request).csrf)
