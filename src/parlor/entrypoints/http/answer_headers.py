"""Which headers an answer bears beside its body, for the published document."""

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

from parlor.entrypoints.http.idempotency import HEADER

LATER = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
JSON = "application/json"
WORDS = {
    "X-Request-ID": "The request's own id, or one that was made for it; it stands in every log line.",
    "WWW-Authenticate": "`Bearer`, with `error` where a credential was sent.",
    "Retry-After": "Seconds after which it is worth another try.",
    "ETag": "The resource's version, for `If-Match`.",
    "Location": "Where the resource is.",
    "Idempotent-Replayed": "`true` where an earlier request with this key was answered already.",
}


def _described(name: str) -> dict[str, Any]:
    return {"description": WORDS[name], "schema": {"type": "string"}}


# For the `responses` of a route that says where the resource is, where nothing else tells that it does.
PLACED = {"headers": {"Location": _described("Location")}}


def add_headers(operation: dict[str, Any], schemas: Mapping[str, Any]) -> None:
    """Name the headers of every answer of an operation."""
    for status, response in operation["responses"].items():
        named = _named(operation, int(status), response, schemas)
        headers = {name: _described(name) for name in named}
        response["headers"] = {**headers, **response.get("headers", {})}


def _named(
    operation: Mapping[str, Any], status: int, response: Mapping[str, Any], schemas: Mapping[str, Any]
) -> Iterator[str]:
    yield "X-Request-ID"
    if status == HTTPStatus.UNAUTHORIZED:
        yield "WWW-Authenticate"
    if status in LATER:
        yield "Retry-After"
    if status < HTTPStatus.BAD_REQUEST:
        is_resource = "version" in _properties(response, schemas)
        if is_resource:
            yield "ETag"
        if repeatable(operation):
            yield "Idempotent-Replayed"
            if is_resource:
                yield "Location"


def repeatable(operation: Mapping[str, Any]) -> bool:
    """Whether it takes an idempotency key."""
    return any(parameter["name"] == HEADER for parameter in operation.get("parameters", ()))


def _properties(response: Mapping[str, Any], schemas: Mapping[str, Any]) -> Mapping[str, Any]:
    schema = response.get("content", {}).get(JSON, {}).get("schema", {})
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    found: Mapping[str, Any] = schemas.get(name, {}).get("properties", {})
    return found
