"""The published document: what each route needs and how it can fail, beside what FastAPI finds out itself."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from parlor.core.identity.api_keys import InvalidApiKey
from parlor.core.identity.model import InvalidToken
from parlor.core.identity.tickets import InvalidTicket
from parlor.core.shared.actor import PermissionMissing, PersonRequired
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
from parlor.entrypoints.http.forms import FORM
from parlor.entrypoints.http.routing import Route
from parlor.entrypoints.http.schemas import Problem

Kinds = Iterable[type[ParlorError]]

PUBLIC = "public"
SIGNED_IN = "signed in"
OWN = "own"
PARTY_FOUNDER = "party:founder"
PARTY_VIEWER = "party:viewer"
PARTY_GUEST = "party:guest"
PARTY_JOINER = "party:joiner"
PARTY_MEMBER = "party:member"
PARTY_OFFICER = "party:officer"
PARTY_OWNER = "party:owner"
PARTY_ENDER = "party:ender"
GUEST = "guest"
INVITED = "invited"
INVITER = "inviter"
MEMBERS = "members"
_SEES_ANY = "`parties:read`, `parties:write` or `parties:manage` for any"
WORDS = {
    PUBLIC: "anybody",
    SIGNED_IN: "anybody signed in",
    OWN: "the one whom it belongs to",
    PARTY_FOUNDER: "anybody signed in; `parties:write` for anybody, which an API key needs",
    PARTY_VIEWER: f"anybody signed in where the party is public, else its members; {_SEES_ANY}",
    PARTY_GUEST: f"anybody signed in where the party is public, else its members and invited guests; {_SEES_ANY}",
    PARTY_JOINER: "anybody signed in where the party is public, else its invited guests; `parties:write` for anybody, "
    "which an API key needs",
    PARTY_MEMBER: "the party's members; `parties:write` for any",
    PARTY_OFFICER: "the party's owner and officers; `parties:write` for any",
    PARTY_OWNER: "the party's owner; `parties:write` for any",
    PARTY_ENDER: "the party's owner; `parties:write` or `parties:manage` for any",
    GUEST: "the guest; `parties:write` for any",
    INVITED: "anybody signed in, about themselves; `parties:read` for anybody, which an API key needs",
    INVITER: "whoever sent it, the party's owner and officers; `parties:write` for any",
    MEMBERS: "those who are in it",
}

ALWAYS: Kinds = (InternalError, DatabaseAway)
CLOSED: Kinds = (Unauthenticated, InvalidToken, InvalidApiKey, AmbiguousCredentials, TooMany)
OPEN: Kinds = (AmbiguousCredentials,)
SENDING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
MAY_HAVE_BODY: Kinds = (BodyTooLarge, UnsupportedMediaType, RequestTimeout)
SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "For people."},
    "password": {
        "type": "oauth2",
        "flows": {"password": {"tokenUrl": "/api/v1/auth/token", "scopes": {}}},
        "description": "For people, here on this page: e-mail address and password.",
    },
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "For services."},
    "ticket": {
        "type": "apiKey",
        "in": "query",
        "name": "ticket",
        "description": "For browsers: counts once, 30 s.",
    },
}


def needs(permission: str, *problems: type[ParlorError], keys: Sequence[str] | None = None) -> dict[str, Any]:
    """Say for `openapi_extra` what a route asks of its caller, and its own ways to fail.

    What is one's own is a person's, unless `keys` names scopes: an API key with one of them counts for its maker.
    """
    told = {"x-permission": permission, "x-problems": _told(problems)}
    if keys is not None or permission == OWN:
        told["x-key-scopes"] = list(keys or ())
    return told


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
                _complete(operation, route, schemas)
                add_headers(operation, schemas)
    return document


def _problem_schemas() -> dict[str, Any]:
    schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    return {**schema.pop("$defs"), "Problem": schema}


def _complete(operation: dict[str, Any], route: Route, schemas: dict[str, Any]) -> None:
    permission = operation.get("x-permission", SIGNED_IN if route.closed else PUBLIC)
    operation["x-permission"] = permission
    operation["security"] = _credentials(route)
    if route.takes_tickets:
        operation["security"].append({"ticket": []})
    told = WORDS.get(permission, f"the permission `{permission}`")
    if route.scopes:
        told += (
            f"; an API key with {' or '.join(f'`{scope}`' for scope in route.scopes)} counts for its maker"
        )
    if "requestBody" in operation:
        _name_media(operation["requestBody"], route, schemas)
    operation["description"] = f"{operation.get('description', '')}\n\nFor: {told}.".strip()
    operation["responses"].pop("422", None)
    for status, codes in sorted(_problems(operation, route, permission).items()):
        operation["responses"].setdefault(str(status), _response(status, codes))


def _credentials(route: Route) -> list[dict[str, list[str]]]:
    if not route.closed:
        return []
    names = ["bearer", "password", *([] if route.scopes == [] else ["apiKey"])]
    return [{name: []} for name in names]


def _name_media(body: dict[str, Any], route: Route, schemas: dict[str, Any]) -> None:
    """Say which types of body are read: FastAPI knows of JSON only."""
    (told,) = body["content"].values()
    body["content"] = {
        media: _as_form(told, schemas) if media == FORM else told for media in route.reader.media
    }
    if tuple(route.reader.media) == (FORM,):
        del schemas[_name_of(told)]  # nothing else refers to it


def _as_form(told: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    """Say that a form may have more fields: they are left out (RFC 6749, 3.2)."""
    return {**told, "schema": {**schemas[_name_of(told)], "additionalProperties": True}}


def _name_of(told: dict[str, Any]) -> str:
    name: str = told["schema"]["$ref"].rpartition("/")[2]
    return name


def _problems(operation: dict[str, Any], route: Route, permission: str) -> dict[int, set[str]]:
    kinds = [*ALWAYS, *(CLOSED if route.closed else OPEN), *((TooMany,) if route.limits else ())]
    if route.takes_tickets:
        kinds.append(InvalidTicket)
    if permission not in WORDS or route.scopes is not None:
        kinds.append(PersonRequired if route.scopes == [] else PermissionMissing)
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
