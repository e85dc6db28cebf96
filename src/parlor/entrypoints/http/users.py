"""Other people: a name for everybody; for whoever manages them, who they are, and whether they may act."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from parlor.container import Container
from parlor.core.identity.administration import ChangeStatus, EndSessions, Sought, UserViews
from parlor.core.identity.model import MANAGE_USERS, AccountDeleted, UserStatus
from parlor.core.identity.roles import LastAdmin
from parlor.core.shared.actor import Actor
from parlor.core.shared.errors import Invalid, Stale
from parlor.core.shared.ids import UserId
from parlor.core.shared.paging import DEFAULT_LIMIT
from parlor.entrypoints.http import preconditions
from parlor.entrypoints.http.answers import JSON, etag, shown
from parlor.entrypoints.http.auth import CurrentActor
from parlor.entrypoints.http.identity import User
from parlor.entrypoints.http.openapi import SIGNED_IN, needs
from parlor.entrypoints.http.paging import Cursor, Cursors, InvalidCursor, Limit
from parlor.entrypoints.http.preconditions import InvalidIfMatch, expected_by
from parlor.entrypoints.http.routing import api_router
from parlor.entrypoints.http.schemas import Body, OneLine, Shown
from parlor.validation import flaws_of

LONGEST_TEXT = 100

Text = Annotated[
    OneLine,
    Query(max_length=LONGEST_TEXT, description="Part of the address or name; begins one if under 3 letters."),
]
RoleName = Annotated[OneLine, Query(max_length=LONGEST_TEXT, description="Only who holds this role.")]
AnyStatus = Annotated[UserStatus, Field(strict=False)]
# Read by ourselves: whoever lacks the permission is told so before any id is looked at.
AnyUserId = Annotated[str, Path(json_schema_extra={"format": "uuid"})]


class UserChanges(Body):
    """What is to become different; what is not sent stays."""

    status: Annotated[AnyStatus, Field(default_factory=lambda: UserStatus.ACTIVE)]


class PublicUser(Shown):
    """A user, as everybody sees them."""

    id: UUID
    display_name: str


class UserPage(Shown):
    """Users, newest first."""

    items: list[User]
    next_cursor: str | None


def user_routes(container: Container) -> APIRouter:
    """Make the routes about other people."""
    routes = api_router("users")
    change_status = container.command(ChangeStatus)
    end_sessions = container.command(EndSessions)
    views = container.get(UserViews)
    cursors = Cursors("users", container.settings.secrets)

    @routes.get("/users", response_model=UserPage, openapi_extra=needs(MANAGE_USERS, InvalidCursor))
    async def list_users(
        actor: CurrentActor,
        *,
        q: Text = "",
        role: RoleName = "",
        status: UserStatus | None = None,
        limit: Limit = DEFAULT_LIMIT,
        cursor: Cursor = None,
    ) -> Response:
        """List users, newest first."""
        actor.must(MANAGE_USERS)
        sought = Sought(q.strip() or None, role or None, status)
        return cursors.answer(await views.page(cursors.request(limit, cursor), sought))

    @routes.get("/users/{user_id}", response_model=PublicUser, openapi_extra=needs(SIGNED_IN))
    async def get_user(user_id: UUID, _: CurrentActor) -> Response:
        """Read what everybody may know of a user."""
        return Response(await views.public(UserId(user_id)), media_type=JSON)

    @routes.patch(
        "/users/{user_id}",
        response_model=User,
        openapi_extra=needs(MANAGE_USERS, LastAdmin, AccountDeleted, Stale, InvalidIfMatch)
        | {"parameters": [preconditions.PARAMETER]},
    )
    async def patch_user(
        user_id: AnyUserId, body: UserChanges, request: Request, actor: CurrentActor
    ) -> Response:
        """Disable a user, which ends their sessions and keys, or enable them again."""
        known = user_id_for(actor, MANAGE_USERS, user_id)
        status = body.status if body.model_fields_set else None
        user = User.model_validate(await change_status(actor, known, status, expected=expected_by(request)))
        return shown(user, headers={"ETag": etag(user.version)})

    @routes.delete("/users/{user_id:other}/sessions", status_code=204, openapi_extra=needs(MANAGE_USERS))
    async def delete_user_sessions(user_id: AnyUserId, actor: CurrentActor) -> Response:
        """End all sessions of a user, and every token with them."""
        await end_sessions(actor, user_id_for(actor, MANAGE_USERS, user_id))
        return Response(status_code=204)

    return routes


def user_id_for(actor: Actor, permission: str, user_id: str) -> UserId:
    """Read an id; raises PermissionMissing, Invalid."""
    actor.must(permission)
    try:
        return UserId(UUID(user_id))
    except ValueError:
        raise Invalid(flaws=flaws_of([{"type": "uuid_parsing", "loc": ("path", "user_id")}])) from None
