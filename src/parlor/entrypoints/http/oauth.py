"""What OAuth's tools and other services ask: tokens by a form, whose a token is, that it ends, which keys sign."""

from collections.abc import Collection
from dataclasses import asdict
from typing import Annotated, ClassVar, Literal
from uuid import UUID

import orjson
from fastapi import APIRouter
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from parlor.container import Container
from parlor.core.identity.attempts import NoteRefusedLogin
from parlor.core.identity.introspection import INTROSPECT, IntrospectToken, RevokeToken, TokenType
from parlor.core.identity.model import EMAIL_LENGTH, PASSWORD_LENGTH, Client, InvalidCredentials
from parlor.core.identity.ports import PublicKeys
from parlor.core.identity.throttling import LOGIN_BY_ADDRESS
from parlor.core.identity.use_cases import LogIn
from parlor.core.shared.errors import Busy, NotFound
from parlor.entrypoints.http.answers import JSON, shown
from parlor.entrypoints.http.auth import CurrentActor
from parlor.entrypoints.http.forms import FORM, FormBody, InvalidForm
from parlor.entrypoints.http.identity import MAX_TOKEN, TokenPair, client_of
from parlor.entrypoints.http.limits import per_address
from parlor.entrypoints.http.openapi import PUBLIC, needs
from parlor.entrypoints.http.routing import Route, api_router, operation_id
from parlor.entrypoints.http.schemas import OneLine, Shown

LONGEST_FIELD = 1024
LONGEST_HINT = 64
KEYS_AGE_S = 300
INACTIVE = b'{"active":false}'

Ignored = Annotated[str, Field(max_length=LONGEST_FIELD)]


class PasswordGrant(FormBody):
    """OAuth's password form (RFC 6749, section 4.3.2); there are no clients and no scopes to choose."""

    grant_type: Literal["password"] = "password"
    username: Annotated[
        OneLine, Field(min_length=1, max_length=EMAIL_LENGTH[1], description="The e-mail address.")
    ]
    password: Annotated[OneLine, Field(min_length=1, max_length=PASSWORD_LENGTH[1])]
    scope: Ignored = ""
    client_id: Ignored = ""
    client_secret: Ignored = ""


class TokenAsked(FormBody):
    """A token that somebody showed."""

    media: ClassVar[Collection[str]] = (JSON, FORM)

    token: Annotated[OneLine, Field(min_length=1, max_length=MAX_TOKEN)]
    token_type_hint: Annotated[
        OneLine,
        Field(
            max_length=LONGEST_HINT,
            description="`refresh_token` or `api_key` to ask about one of these; anything else means `access_token`.",
        ),
    ] = ""


class Introspection(Shown):
    """Whom a token stands for now; of one that does not count, nothing but `active`.

    `exp` is in seconds since 1970, null for a key that does not end by itself. Of a key, `client_id` is its own id,
    `sub` its maker, if it has one, and `permissions` what it may do; of a token there is no `client_id`.
    """

    active: bool
    sub: UUID | None = None
    sid: UUID | None = None
    roles: list[str] = []
    permissions: list[str] = []
    exp: int | None = None
    client_id: UUID | None = None


class KeySet(Shown):
    """Public keys (RFC 7517), newest first; `kid` is the thumbprint of RFC 7638."""

    keys: list[dict[str, str]]


def oauth_routes(container: Container) -> APIRouter:
    """Make the routes under the base path."""
    routes = api_router("tokens")
    open_session = container.command(LogIn)
    note_refused = container.command(NoteRefusedLogin)
    introspect_token = container.command(IntrospectToken)
    revoke_token = container.command(RevokeToken)

    async def note_refusal(body: PasswordGrant, client: Client) -> None:
        await note_refused(email=body.username, client=client)

    @routes.post(
        "/auth/token",
        response_model=TokenPair,
        openapi_extra=needs(PUBLIC, InvalidCredentials, InvalidForm, Busy),
        dependencies=[per_address(LOGIN_BY_ADDRESS, refused=note_refusal)],
    )
    async def log_in_by_form(body: PasswordGrant, request: Request) -> Response:
        """Open a session, as `/auth/login` does, by OAuth's password form: for tools that know nothing else."""
        pair = await open_session(email=body.username, password=body.password, client=client_of(request))
        return shown(TokenPair.model_validate(pair))

    @routes.post(
        "/auth/introspect", response_model=Introspection, openapi_extra=needs(INTROSPECT, InvalidForm)
    )
    async def introspect(body: TokenAsked, actor: CurrentActor) -> Response:
        """Learn whom a token stands for (RFC 7662); `{"active": false}` for whatever does not count."""
        active = await introspect_token(actor, body.token, _type(body.token_type_hint))
        if active is None:
            return Response(INACTIVE, media_type=JSON)
        told = {name: value for name, value in asdict(active).items() if name != "client_id" or value}
        return Response(orjson.dumps({"active": True, **told}), media_type=JSON)

    @routes.post("/auth/revoke", status_code=200, openapi_extra=needs(INTROSPECT, InvalidForm))
    async def revoke(body: TokenAsked, actor: CurrentActor) -> Response:
        """End the session of an access or refresh token, or an API key (RFC 7009); 200 whatever it was."""
        await revoke_token(actor, body.token)
        return Response(b"{}", media_type=JSON)

    return routes


def key_set_routes(container: Container) -> APIRouter:
    """Make the route that has no base path."""
    routes = APIRouter(tags=["tokens"], route_class=Route, generate_unique_id_function=operation_id)
    keys = container.get(PublicKeys)

    @routes.get("/.well-known/jwks.json", response_model=KeySet, openapi_extra=needs(PUBLIC, NotFound))
    async def key_set() -> Response:
        """Publish the keys that access tokens are verified by, where private keys sign them."""
        if not keys.keys:
            raise NotFound("No private key signs tokens here.")
        cache = {"Cache-Control": f"public, max-age={KEYS_AGE_S}"}
        return Response(orjson.dumps({"keys": keys.keys}), headers=cache, media_type=JSON)

    return routes


def _type(hint: str) -> TokenType:
    """Read a hint; RFC 7662 leaves those that are not known to be ignored."""
    return TokenType(hint) if hint in set(TokenType) else TokenType.ACCESS
