"""Accounts: log in, refresh, log out, and who one is."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from parlor.container import Container
from parlor.core.identity.attempts import NoteRefusedLogin
from parlor.core.identity.model import (
    DISPLAY_NAME_LENGTH,
    EMAIL_LENGTH,
    PASSWORD_LENGTH,
    Client,
    InvalidCredentials,
    InvalidGrant,
    UserStatus,
)
from parlor.core.identity.throttling import LOGIN_BY_ADDRESS
from parlor.core.identity.use_cases import LogIn, LogOut, LogoutScope, Refresh
from parlor.core.shared.errors import Busy, TooMany
from parlor.entrypoints.http.answers import etag, shown
from parlor.entrypoints.http.auth import CurrentPrincipal
from parlor.entrypoints.http.call import call_of
from parlor.entrypoints.http.clients import Proxies
from parlor.entrypoints.http.limits import per_address
from parlor.entrypoints.http.openapi import OWN, PUBLIC, needs
from parlor.entrypoints.http.routing import api_router
from parlor.entrypoints.http.schemas import Body, OneLine, Shown, ShownTime, SortedWords, Words

MAX_TOKEN = 8192  # whatever is a token elsewhere is a wrong one here, and no malformed one

Email = Annotated[
    OneLine, Field(min_length=EMAIL_LENGTH[0], max_length=EMAIL_LENGTH[1], examples=["ada@example.org"])
]
Password = Annotated[OneLine, Field(min_length=PASSWORD_LENGTH[0], max_length=PASSWORD_LENGTH[1])]
DisplayName = Annotated[Words, Field(min_length=DISPLAY_NAME_LENGTH[0], max_length=DISPLAY_NAME_LENGTH[1])]


class Credentials(Body):
    """What one logs in with."""

    email: Email
    password: Annotated[OneLine, Field(min_length=1, max_length=PASSWORD_LENGTH[1])]


class RefreshRequest(Body):
    """The newest refresh token of a session."""

    refresh_token: Annotated[OneLine, Field(min_length=1, max_length=MAX_TOKEN)]


class User(Shown):
    """A user, as they see themselves."""

    id: UUID
    email: str
    email_verified: bool
    display_name: str
    roles: SortedWords
    status: UserStatus
    created_at: ShownTime
    updated_at: ShownTime
    version: int


class TokenPair(Shown):
    """An access token, and the token that brings the next pair; lives in seconds."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - a scheme's name
    expires_in: int
    refresh_token: str
    refresh_expires_in: int


def identity_routes(container: Container) -> APIRouter:
    """Make the routes of this context; the hottest one first."""
    routes = api_router("identity")
    open_session = container.command(LogIn)
    note_refused = container.command(NoteRefusedLogin)
    rotate = container.command(Refresh)
    end_sessions = container.command(LogOut)

    async def note_refusal(body: Credentials, client: Client) -> None:
        await note_refused(email=body.email, client=client)

    @routes.get("/users/me", response_model=User, openapi_extra=needs(OWN))
    async def me(principal: CurrentPrincipal) -> Response:
        """Tell who one is."""
        user = User.model_validate(principal.user)
        return shown(user, headers={"ETag": etag(user.version)})

    @routes.post(
        "/auth/login",
        response_model=TokenPair,
        openapi_extra=needs(PUBLIC, InvalidCredentials, Busy),
        dependencies=[per_address(LOGIN_BY_ADDRESS, refused=note_refusal)],
    )
    async def log_in(body: Credentials, request: Request) -> Response:
        """Open a session with the right password; an unknown address gets the same answer as a wrong one."""
        pair = await open_session(email=body.email, password=body.password, client=client_of(request))
        return shown(TokenPair.model_validate(pair))

    @routes.post(
        "/auth/refresh", response_model=TokenPair, openapi_extra=needs(PUBLIC, InvalidGrant, TooMany)
    )
    async def refresh(body: RefreshRequest, request: Request) -> Response:
        """Take the session's refresh token, give the next pair; a used-up token ends the session."""
        pair = await rotate(refresh_token=body.refresh_token, client=client_of(request))
        return shown(TokenPair.model_validate(pair))

    @routes.post("/auth/logout", status_code=204, openapi_extra=needs(OWN))
    async def log_out(
        principal: CurrentPrincipal, request: Request, scope: LogoutScope = LogoutScope.THIS
    ) -> Response:
        """End this session, the others, or all and every token with them."""
        await end_sessions(principal, scope=scope, client=client_of(request))
        return Response(status_code=204)

    return routes


def client_of(request: Request) -> Client:
    """Tell where a request comes from, in words that may be stored and shown."""
    proxies: Proxies = request.app.state.proxies
    return proxies.client_of(call_of(request.scope), request.scope)
