"""Errors as RFC 9457 problems: the one table from kinds to statuses."""

from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from parlor.core.identity.model import InvalidToken
from parlor.core.shared.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    ParlorError,
    Stale,
    TooMany,
    Unauthenticated,
    Unavailable,
)
from parlor.entrypoints.http.call import call_of
from parlor.validation import flaws_of

PROBLEM = "application/problem+json"


class BadRequest(ParlorError):
    """The request cannot be understood."""

    code = "bad_request"


class InvalidJson(BadRequest):
    """The body is not JSON as RFC 8259 has it, or not in UTF-8, or has a key twice, or is nested too deep."""

    code = "invalid_json"


class MethodNotAllowed(BadRequest):
    """This path does not know the method; `Allow` names those that it knows."""

    code = "method_not_allowed"

    def __init__(self, detail: str | None = None, *, allow: str = "") -> None:
        super().__init__(detail)
        self.allow = allow


class RequestTimeout(BadRequest):
    """The rest of the request did not come in time."""

    code = "request_timeout"


class BodyTooLarge(BadRequest):
    """The body is larger than this server takes."""

    code = "body_too_large"


class UnsupportedMediaType(BadRequest):
    """The body must be `application/json` in UTF-8, without any `Content-Encoding`."""

    code = "unsupported_media_type"


class HeadTooLarge(BadRequest):
    """The request's line and headers are larger than this server takes."""

    code = "head_too_large"


class InternalError(ParlorError):
    """Something went wrong here; the request id finds it in the log."""

    code = "internal_error"


STATUS: Mapping[type[ParlorError], int] = {
    BadRequest: 400,
    Unauthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    MethodNotAllowed: 405,
    RequestTimeout: 408,
    Conflict: 409,
    Stale: 412,
    BodyTooLarge: 413,
    UnsupportedMediaType: 415,
    Invalid: 422,
    TooMany: 429,
    HeadTooLarge: 431,
    InternalError: 500,
    Unavailable: 503,
}
FRAMEWORKS_OWN = HTTPException
_OF_STATUS = {status: kind for kind, status in STATUS.items()}


def status_of(kind: type[ParlorError]) -> int:
    """Look the error's kind up in the table."""
    return next((STATUS[base] for base in kind.__mro__ if base in STATUS), STATUS[InternalError])


def title_of(code: str) -> str:
    """Make a title of a code: the same for every problem of its type."""
    return code.replace("_", " ").capitalize()


def problem_json(error: ParlorError, request_id: str) -> bytes:
    """Write the problem; nothing of what the client sent stands in it."""
    body: dict[str, Any] = {
        "type": f"urn:parlor:problem:{error.code}",
        "title": title_of(error.code),
        "status": status_of(type(error)),
        "detail": error.detail,
        "code": error.code,
        "request_id": request_id,
    }
    if isinstance(error, Invalid):
        body["errors"] = [{"pointer": f.pointer, "code": f.code, "detail": f.detail} for f in error.flaws]
    return orjson.dumps(body)


def problem(error: ParlorError, request_id: str) -> Response:
    """Answer with the error."""
    return Response(
        problem_json(error, request_id),
        status_code=status_of(type(error)),
        headers=headers_of(error),
        media_type=PROBLEM,
    )


def install_error_handlers(app: FastAPI) -> None:
    """Turn everything that routes and the framework raise into problems."""
    app.add_exception_handler(ParlorError, _parlor_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _framework_error)


async def _parlor_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ParlorError)
    call = call_of(request.scope)
    call.code = error.code
    return problem(error, call.request_id)


async def _validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return await _parlor_error(request, Invalid(flaws=flaws_of(error.errors())))


async def _framework_error(request: Request, error: Exception) -> Response:
    known = known_error(error)
    if isinstance(known, MethodNotAllowed):
        known.allow = _methods_of(request)
    return await _parlor_error(request, known)


def known_error(error: Exception) -> ParlorError:
    """Name what went wrong in our words: the framework's errors by their status, a mistake as an InternalError."""
    match error:
        case ParlorError():
            return error
        case HTTPException(status_code=405):
            return MethodNotAllowed(allow=(error.headers or {}).get("Allow", ""))
        case HTTPException():
            return _OF_STATUS.get(error.status_code, BadRequest)()
        case _:
            return InternalError()


def _methods_of(request: Request) -> str:
    """Ask every route: the framework tells those of the first one only."""
    known: set[str] = set()
    for route in request.app.routes:
        if route.matches(request.scope)[0] is not Match.NONE:
            known |= getattr(route, "methods", None) or set()
    return ", ".join(sorted(known))


def headers_of(error: ParlorError) -> dict[str, str] | None:
    """Say what an answer with this error bears in its head."""
    match error:
        case InvalidToken():
            return {"WWW-Authenticate": 'Bearer error="invalid_token"'}
        case Unauthenticated():
            return {"WWW-Authenticate": "Bearer"}
        case TooMany() | Unavailable():
            return {"Retry-After": str(error.retry_after)}
        case MethodNotAllowed():
            return {"Allow": error.allow}
        case RequestTimeout():
            return {"Connection": "close"}
        case _:
            return None
