"""One's own sessions: where one is signed in, and how to end that."""

from uuid import UUID

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from parlor.container import Container
from parlor.core.identity.sessions import EndSession, SessionViews
from parlor.core.shared.ids import SessionId
from parlor.core.shared.paging import DEFAULT_LIMIT
from parlor.entrypoints.http.auth import CurrentPrincipal
from parlor.entrypoints.http.identity import client_of
from parlor.entrypoints.http.openapi import OWN, needs
from parlor.entrypoints.http.paging import Cursor, Cursors, InvalidCursor, Limit
from parlor.entrypoints.http.routing import api_router
from parlor.entrypoints.http.schemas import Shown, ShownTime


class Session(Shown):
    """A login that still counts; `current` is the one that asks."""

    id: UUID
    created_at: ShownTime
    last_used_at: ShownTime
    ip: str | None
    user_agent: str | None
    current: bool


class SessionPage(Shown):
    """Sessions, newest first."""

    items: list[Session]
    next_cursor: str | None


def session_routes(container: Container) -> APIRouter:
    """Make the routes."""
    routes = api_router("identity")
    end_session = container.command(EndSession)
    views = container.get(SessionViews)
    cursors = Cursors("sessions", container.settings.secrets)

    @routes.get("/users/me/sessions", response_model=SessionPage, openapi_extra=needs(OWN, InvalidCursor))
    async def my_sessions(
        principal: CurrentPrincipal, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
    ) -> Response:
        """List where one is signed in, newest first."""
        return cursors.answer(await views.page(principal, cursors.request(limit, cursor)))

    @routes.delete("/users/me/sessions/{session_id}", status_code=204, openapi_extra=needs(OWN))
    async def end(session_id: UUID, principal: CurrentPrincipal, request: Request) -> Response:
        """End one of one's own sessions, with every token of it."""
        await end_session(principal, SessionId(session_id), client=client_of(request))
        return Response(status_code=204)

    return routes
