"""The login history: one's own, and anybody's for those who manage users."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path
from starlette.responses import Response

from parlor.container import Container
from parlor.core.identity.history import MANAGE_USERS, LoginViews, Method, Outcome
from parlor.core.shared.actor import Actor
from parlor.core.shared.errors import Invalid
from parlor.core.shared.ids import UserId
from parlor.core.shared.paging import DEFAULT_LIMIT
from parlor.entrypoints.http.auth import CurrentActor, CurrentPrincipal
from parlor.entrypoints.http.openapi import OWN, needs
from parlor.entrypoints.http.paging import Cursor, Cursors, InvalidCursor, Limit
from parlor.entrypoints.http.routing import api_router
from parlor.entrypoints.http.schemas import Shown, ShownTime
from parlor.validation import flaws_of

# Read by ourselves: whoever lacks the permission is told so before any id is looked at.
WhoseId = Annotated[str, Path(json_schema_extra={"format": "uuid"})]


class Login(Shown):
    """A line of the history: what happened, by which door, from where."""

    at: ShownTime
    outcome: Outcome
    ip: str | None
    user_agent: str | None
    method: Method
    session_id: UUID | None


class LoginPage(Shown):
    """Lines of a history, newest first."""

    items: list[Login]
    next_cursor: str | None


def login_routes(container: Container) -> APIRouter:
    """Make the routes."""
    routes = api_router("identity")
    views = container.get(LoginViews)
    cursors = Cursors("logins", container.settings.secrets)

    @routes.get("/users/me/logins", response_model=LoginPage, openapi_extra=needs(OWN, InvalidCursor))
    async def my_logins(
        principal: CurrentPrincipal, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
    ) -> Response:
        """List who came, or tried to come, into one's account, newest first."""
        page = cursors.request(limit, cursor)
        return cursors.answer(await views.page(principal.actor, principal.user.id, page))

    @routes.get(
        "/users/{user_id}/logins",
        response_model=LoginPage,
        openapi_extra=needs(MANAGE_USERS, InvalidCursor),
    )
    async def list_logins(
        user_id: WhoseId, actor: CurrentActor, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
    ) -> Response:
        """List who came, or tried to come, into a user's account, newest first."""
        known = _id(actor, user_id)
        return cursors.answer(await views.page(actor, known, cursors.request(limit, cursor)))

    return routes


def _id(actor: Actor, user_id: str) -> UserId:
    """Read an id; raises PermissionMissing, Invalid."""
    actor.must(MANAGE_USERS)
    try:
        return UserId(UUID(user_id))
    except ValueError:
        raise Invalid(flaws=flaws_of([{"type": "uuid_parsing", "loc": ("path", "user_id")}])) from None
