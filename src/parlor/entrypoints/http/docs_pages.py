"""`/docs` and `/redoc`, with everything that they load served from here, and the contract over RabbitMQ."""

import asyncio
from functools import cache
from importlib.resources import files
from pathlib import Path

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route

from parlor.config import Settings
from parlor.core.shared.errors import NotFound
from parlor.entrypoints.asyncapi.document import published, written

ASSETS = "/static/docs"
# Both tools write styles into the page; neither may run a script that is not a file of ours.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self' data:; connect-src 'self'; worker-src blob:; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
PAGE_HEADERS = {"Content-Security-Policy": POLICY}
ASSET_HEADERS = {"Cache-Control": "public, max-age=86400"}

START_SWAGGER = """\
window.ui = SwaggerUIBundle({
  url: document.currentScript.dataset.openapi,
  dom_id: "#swagger-ui",
  deepLinking: true,
  showExtensions: true,
  validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis, SwaggerUIBundle.SwaggerUIStandalonePreset],
});
"""
SWAGGER = f"""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Parlor: API</title>
<link rel="icon" href="{ASSETS}/favicon.png"><link rel="stylesheet" href="{ASSETS}/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="{ASSETS}/swagger-ui-bundle.js"></script>
<script src="{ASSETS}/start.js" data-openapi="/openapi.json"></script>
</body>
</html>
"""
REDOC = f"""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Parlor: API</title>
<link rel="icon" href="{ASSETS}/favicon.png"><style>body {{ margin: 0 }}</style>
</head>
<body>
<redoc spec-url="/openapi.json"></redoc>
<script src="{ASSETS}/redoc.standalone.js"></script>
</body>
</html>
"""


def install_asyncapi(app: FastAPI, settings: Settings) -> None:
    """Add the contract over RabbitMQ, written when somebody first asks for it."""
    document = cache(lambda: written(published(settings)))

    async def asyncapi(_: Request) -> Response:
        return Response(await asyncio.to_thread(document), media_type="application/json")

    app.router.routes.append(Route("/asyncapi.json", asyncapi))


def install_docs(app: FastAPI) -> None:
    """Add both pages and their files."""
    app.router.routes += [
        Route("/docs", _swagger),
        Route("/redoc", _redoc),
        Route(f"{ASSETS}/start.js", _start),
        Route(f"{ASSETS}/{{name}}", _asset),
    ]


async def _swagger(_: Request) -> Response:
    return HTMLResponse(SWAGGER, headers=PAGE_HEADERS)


async def _redoc(_: Request) -> Response:
    return HTMLResponse(REDOC, headers=PAGE_HEADERS)


async def _start(_: Request) -> Response:
    return Response(START_SWAGGER, media_type="text/javascript", headers=ASSET_HEADERS)


async def _asset(request: Request) -> Response:
    path = _assets().get(request.path_params["name"])
    if path is None:
        raise NotFound
    return FileResponse(path, headers=ASSET_HEADERS)


def _assets() -> dict[str, Path]:
    """List the files that the package carries; nothing else can be asked for."""
    folder = Path(str(files("fastapi_offline") / "static"))
    return {path.name: path for path in folder.iterdir()}
