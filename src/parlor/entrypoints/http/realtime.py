"""What opens streams: one-use tickets, for clients that can send no header."""

from fastapi import APIRouter
from starlette.responses import Response

from parlor.container import Container
from parlor.core.identity.tickets import IssueTicket
from parlor.entrypoints.http.answers import shown
from parlor.entrypoints.http.auth import CurrentPrincipal
from parlor.entrypoints.http.openapi import OWN, needs
from parlor.entrypoints.http.routing import api_router
from parlor.entrypoints.http.schemas import Shown


class Ticket(Shown):
    """What opens one stream, as `?ticket=`, within so many seconds."""

    ticket: str
    expires_in: int


def realtime_routes(container: Container) -> APIRouter:
    """Make the routes."""
    routes = api_router("realtime")
    issue_ticket = container.command(IssueTicket)

    @routes.post("/realtime/tickets", status_code=201, response_model=Ticket, openapi_extra=needs(OWN))
    async def make_ticket(principal: CurrentPrincipal) -> Response:
        """Get a ticket for this session: it counts once, within 30 s, on any process, and ends with the session."""
        return shown(Ticket.model_validate(await issue_ticket(principal)), status=201)

    return routes
