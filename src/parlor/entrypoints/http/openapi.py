"""The published document: what each route needs and how it can fail, beside what FastAPI finds out itself."""

from collections import defaultdict
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from parlor.core.identity.model import InvalidToken
from parlor.core.identity.tickets import InvalidTicket
from parlor.core.shared.actor import PermissionMissing
from parlor.core.shared.errors import DatabaseAway, Invalid, NotFound, ParlorError, TooMany, Unauthenticated
from parlor.entrypoints.http.answer_headers import add_headers, repeatable
from parlor.entrypoints.http.auth import AmbiguousCredentials
from parlor.entrypoints.http.errors import (
    PROBLEM,
    BodyTooLarge,
    InternalError,
    InvalidJson,
    RequestTimeout,
    UnsupportedMediaType,
    status_of,
)
from parlor.entrypoints.http.routing import Route
from parlor.entrypoints.http.schemas import Problem

Kinds = Iterable[type[ParlorError]]

PUBLIC = "public"
SIGNED_IN = "signed in"
OWN = "own"
WORDS = {PUBLIC: "anybody", SIGNED_IN: "anybody signed in", OWN: "the one whom it belongs to"}

ALWAYS: Kinds = (InternalError, DatabaseAway)
CLOSED: Kinds = (Unauthenticated, InvalidToken, AmbiguousCredentials)
SENDING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
MAY_HAVE_BODY: Kinds = (BodyTooLarge, UnsupportedMediaType, RequestTimeout)
SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "For people."},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "For services."},
    "ticket": {
        "type": "apiKey",
        "in": "query",
        "name": "ticket",
        "description": "For browsers: counts once, 30 s.",
    },
}


def needs(permission: str, *problems: type[ParlorError]) -> dict[str, Any]:
    """Say for `openapi_extra` what a route asks of its caller, and its own ways to fail."""
    return {"x-permission": permission, "x-problems": _told(problems)}


def install_openapi(app: FastAPI) -> None:
    """Let the application publish our document."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = describe(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # FastAPI's own recipe for extending it


def describe(app: FastAPI) -> dict[str, Any]:
    """Write the document."""
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas.update(_problem_schemas())
    document["components"]["securitySchemes"] = SCHEMES
    for route in app.routes:
        if isinstance(route, Route) and route.include_in_schema:
            for method in route.methods or ():
                operation = document["paths"][route.path_format][method.lower()]
                _complete(operation, route)
                add_headers(operation, schemas)
    return document


def _problem_schemas() -> dict[str, Any]:
    schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    return {**schema.pop("$defs"), "Problem": schema}


def _complete(operation: dict[str, Any], route: Route) -> None:
    permission = operation.get("x-permission", SIGNED_IN if route.closed else PUBLIC)
    operation["x-permission"] = permission
    operation["security"] = [{"bearer": []}, {"apiKey": []}] if route.closed else []
    if route.takes_tickets:
        operation["security"].append({"ticket": []})
    told = WORDS.get(permission, f"the permission `{permission}`")
    operation["description"] = f"{operation.get('description', '')}\n\nFor: {told}.".strip()
    operation["responses"].pop("422", None)
    for status, codes in sorted(_problems(operation, route, permission).items()):
        operation["responses"].setdefault(str(status), _response(status, codes))


def _problems(operation: dict[str, Any], route: Route, permission: str) -> dict[int, set[str]]:
    kinds = [*ALWAYS]
    if route.closed:
        kinds += CLOSED
    if route.takes_tickets:
        kinds.append(InvalidTicket)
    if route.limits:
        kinds.append(TooMany)
    if permission not in WORDS:
        kinds.append(PermissionMissing)
    if SENDING & (route.methods or set()):
        kinds += MAY_HAVE_BODY
    if route.body_field is not None:
        kinds += [InvalidJson, Invalid]
    if route.param_convertors:
        kinds.append(NotFound)
    if "parameters" in operation:
        kinds.append(Invalid)
    if repeatable(operation):
        kinds.append(NotFound)  # what the first request made may be gone by now
    return _by_status([*_told(kinds), *operation.pop("x-problems", ())])


def _told(kinds: Kinds) -> list[tuple[int, str]]:
    return [(status_of(kind), kind.code) for kind in kinds]


def _by_status(problems: Iterable[tuple[int, str]]) -> dict[int, set[str]]:
    found: dict[int, set[str]] = defaultdict(set)
    for status, code in problems:
        found[status].add(code)
    return found


def _response(status: int, codes: set[str]) -> dict[str, Any]:
    words = ", ".join(f"`{code}`" for code in sorted(codes))
    return {
        "description": f"{HTTPStatus(status).phrase}: {words}",
        "content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
