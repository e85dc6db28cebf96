"""Whether the process is alive, and has what it needs."""

from collections.abc import Mapping
from typing import Literal

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from parlor.container import Container
from parlor.core.shared.health import Part
from parlor.entrypoints.http.answers import shown
from parlor.entrypoints.http.openapi import PUBLIC, needs
from parlor.entrypoints.http.routing import Route, operation_id
from parlor.entrypoints.http.schemas import Shown
from parlor.entrypoints.http.streams import CONNECTION, Connection, Unconnected

RETRY = {"Retry-After": "1"}
LEAVING = Part(status="down", needed=True, detail="told to end")


class Alive(Shown):
    """The process answers."""

    status: Literal["alive"] = "alive"


class PartState(Shown):
    """One part that this process stands on."""

    status: Literal["up", "down"]
    needed: bool
    detail: str | None


class Readiness(Shown):
    """`degraded`: something is down that it can do without; `unready`: something that it needs."""

    status: Literal["ready", "degraded", "unready"]
    parts: dict[str, PartState]


def health_routes(container: Container) -> APIRouter:
    """Make the routes that whoever operates this asks."""
    routes = APIRouter(tags=["operations"], route_class=Route, generate_unique_id_function=operation_id)

    @routes.get("/healthz", response_model=Alive, openapi_extra=needs(PUBLIC))
    async def healthz() -> Response:
        """Tell that the process answers."""
        return shown(Alive())

    @routes.get(
        "/readyz",
        response_model=Readiness,
        responses={503: {"model": Readiness}},
        openapi_extra=needs(PUBLIC),
    )
    async def readyz(request: Request) -> Response:
        """Tell whether the process can do its work; 503 only when it cannot, or is about to end."""
        connection: Connection = request.scope.get(CONNECTION) or Unconnected()
        leaving = {"process": LEAVING} if connection.leaving.is_set() else {}
        parts = {**leaving, **await container.parts()}
        status = readiness(parts)
        answer = Readiness.model_validate({"status": status, "parts": parts}, from_attributes=True)
        return shown(answer, status=503, headers=RETRY) if status == "unready" else shown(answer)

    return routes


def readiness(parts: Mapping[str, Part]) -> Literal["ready", "degraded", "unready"]:
    """Sum the parts up."""
    down = [part for part in parts.values() if part.status == "down"]
    if any(part.needed for part in down):
        return "unready"
    return "degraded" if down else "ready"
