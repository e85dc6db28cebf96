"""API keys: make one, list them, end one."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from parlor.container import Container
from parlor.core.identity.api_keys import (
    MANAGE,
    MAX_NAME,
    MAX_SCOPES,
    SCOPE,
    SCOPE_LENGTH,
    ApiKeyViews,
    TooManyApiKeys,
)
from parlor.core.identity.api_keys_use_cases import CreateApiKey, MadeKey, RevokeApiKey
from parlor.core.shared.actor import PermissionMissing
from parlor.core.shared.ids import ApiKeyId
from parlor.core.shared.paging import DEFAULT_LIMIT
from parlor.entrypoints.http.answers import shown
from parlor.entrypoints.http.auth import CurrentActor, CurrentPrincipal
from parlor.entrypoints.http.identity import client_of
from parlor.entrypoints.http.openapi import OWN, needs
from parlor.entrypoints.http.paging import Cursor, Cursors, InvalidCursor, Limit
from parlor.entrypoints.http.routing import api_router
from parlor.entrypoints.http.schemas import Body, GivenTime, OneLine, Shown, ShownTime, SortedWords, Words

Name = Annotated[Words, Field(min_length=1, max_length=MAX_NAME, examples=["film service"])]
Scope = Annotated[
    OneLine,
    Field(
        min_length=SCOPE_LENGTH[0],
        max_length=SCOPE_LENGTH[1],
        pattern=f"^{SCOPE.pattern}$",
        examples=["tasks:create"],
    ),
]


class NewApiKey(Body):
    """A key for a service: what it may do, all of which its maker may do, and when it ends, if ever."""

    name: Name
    scopes: Annotated[list[Scope], Field(max_length=MAX_SCOPES)]
    expires_at: GivenTime | None = None


class ApiKey(Shown):
    """A key as it is listed: `prefix` and `last_four` tell it from others; `maker_id` is null for the server's own."""

    id: UUID
    name: str
    prefix: str
    last_four: str
    scopes: SortedWords
    maker_id: UUID | None
    created_at: ShownTime
    expires_at: ShownTime | None
    last_used_at: ShownTime | None = None


class CreatedApiKey(ApiKey):
    """A new key with what is shown as `X-API-Key`: nobody can be told again."""

    key: str


class ApiKeyPage(Shown):
    """A page of keys."""

    items: list[ApiKey]
    next_cursor: str | None


def api_key_routes(container: Container) -> APIRouter:
    """Make the routes of API keys."""
    routes = api_router("api keys")
    create_api_key = container.command(CreateApiKey)
    revoke_api_key = container.command(RevokeApiKey)
    views = container.get(ApiKeyViews)
    cursors = Cursors("api_keys", container.settings.secrets)

    @routes.get(
        "/api-keys", response_model=ApiKeyPage, openapi_extra=needs(OWN, InvalidCursor, keys=[MANAGE])
    )
    async def list_api_keys(
        actor: CurrentActor, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
    ) -> Response:
        """List one's keys, newest first; `api_keys:manage` sees everybody's."""
        return cursors.answer(await views.page(actor, cursors.request(limit, cursor)))

    @routes.post(
        "/api-keys",
        status_code=201,
        response_model=CreatedApiKey,
        openapi_extra=needs(OWN, PermissionMissing, TooManyApiKeys),
    )
    async def make_api_key(body: NewApiKey, request: Request, principal: CurrentPrincipal) -> Response:
        """Make a key that may do some of what one may do oneself; `key` is shown this once."""
        made = await create_api_key(
            principal,
            name=body.name,
            scopes=frozenset(body.scopes),
            expires_at=body.expires_at,
            client=client_of(request),
        )
        return shown(_created(made), status=201)

    @routes.delete("/api-keys/{key_id}", status_code=204, openapi_extra=needs(OWN, keys=[MANAGE]))
    async def end_api_key(key_id: UUID, actor: CurrentActor) -> Response:
        """End a key for good; `api_keys:manage` ends anyone's."""
        await revoke_api_key(actor, ApiKeyId(key_id))
        return Response(status_code=204)

    return routes


def _created(made: MadeKey) -> CreatedApiKey:
    listed = ApiKey.model_validate(made.api_key)
    return CreatedApiKey(**dict(listed), key=made.shown)
