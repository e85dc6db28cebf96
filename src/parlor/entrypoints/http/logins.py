"""The login history: one's own, and anybody's for those who manage users."""

from uuid import UUID

from fastapi import APIRouter
from starlette.responses import Response

from parlor.container import Container
from parlor.core.identity.history import LoginViews, Method, Outcome
from parlor.core.identity.model import MANAGE_USERS
from parlor.core.shared.paging import DEFAULT_LIMIT
from parlor.entrypoints.http.auth import CurrentActor, CurrentPrincipal
from parlor.entrypoints.http.openapi import OWN, needs
from parlor.entrypoints.http.paging import Cursor, Cursors, InvalidCursor, Limit
from parlor.entrypoints.http.routing import api_router
from parlor.entrypoints.http.schemas import Shown, ShownTime
from parlor.entrypoints.http.users import AnyUserId, user_id_for


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
        user_id: AnyUserId, actor: CurrentActor, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
    ) -> Response:
        """List who came, or tried to come, into a user's account, newest first."""
        known = user_id_for(actor, MANAGE_USERS, user_id)
        return cursors.answer(await views.page(actor, known, cursors.request(limit, cursor)))

    return routes
