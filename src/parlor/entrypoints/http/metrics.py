"""The page that Prometheus reads."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from parlor.container import Container
from parlor.core.shared.meters import MetersPage
from parlor.entrypoints.http.openapi import PUBLIC, needs
from parlor.entrypoints.http.routing import Route, operation_id

TEXT = {
    "text/plain": {"schema": {"type": "string"}},
    "application/openmetrics-text": {"schema": {"type": "string"}},
}


def metrics_routes(container: Container) -> APIRouter:
    """Make the route, where it is switched on."""
    routes = APIRouter(tags=["operations"], route_class=Route, generate_unique_id_function=operation_id)
    if not container.settings.metrics:
        return routes
    page = container.get(MetersPage)

    @routes.get(
        "/metrics",
        response_class=Response,
        responses={
            200: {"content": TEXT, "description": "Prometheus' text format, or OpenMetrics by `Accept`."}
        },
        openapi_extra=needs(PUBLIC),
    )
    async def metrics(request: Request) -> Response:
        """Tell what this process counts about itself and what it stands on."""
        written = await page.written(request.headers.get("accept"))
        return Response(written.body, headers={"content-type": written.media_type})

    return routes
