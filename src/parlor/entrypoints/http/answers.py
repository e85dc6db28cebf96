"""Answers made of bytes: what a model or the database wrote is sent as it is."""

import re
from collections.abc import Mapping

import orjson
from pydantic import BaseModel
from starlette.responses import Response

JSON = "application/json"

# Views end with the version; a result or payload with a field of that name stands before it.
_LAST_VERSION = re.compile(rb'"version"\s*:\s*(\d+)\s*\}\s*\Z')
_TAIL = 64


def shown(model: BaseModel, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with a model."""
    body = model.__pydantic_serializer__.to_json(model)
    return Response(body, status_code=status, headers=headers, media_type=JSON)


def viewed(view: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with one resource as the database wrote it, tagged with its version."""
    tagged = {"ETag": etag(_version(view)), **(headers or {})}
    return Response(view, status_code=status, headers=tagged, media_type=JSON)


def etag(version: int) -> str:
    """Write a version as a strong entity tag."""
    return f'"{version}"'


def _version(view: bytes) -> int:
    found = _LAST_VERSION.search(view[-_TAIL:])
    return int(found[1]) if found else int(orjson.loads(view)["version"])
