"""`Idempotency-Key`: a request that may be sent again."""

import hashlib
import re

from starlette.requests import Request

from parlor.core.shared.actor import Actor
from parlor.core.shared.errors import Flaw, Invalid
from parlor.core.shared.work import OnceKey
from parlor.entrypoints.http.call import Call, call_of

HEADER = "Idempotency-Key"
REPLAYED = {"Idempotent-Replayed": "true"}
PARAMETER = {
    "in": "header",
    "name": HEADER,
    "description": "The same key and body within 24 h give the same resource again.",
    "schema": {"type": "string", "pattern": "^[!-~]{1,128}$"},
}

_KEY = re.compile(r"[!-~]{1,128}")


class InvalidIdempotencyKey(Invalid):
    """An idempotency key is 1 to 128 visible ASCII characters."""

    code = "invalid_idempotency_key"

    def __init__(self) -> None:
        super().__init__()
        self.flaws = (Flaw(f"header:{HEADER}", self.code, self.detail),)


def once_key(request: Request, actor: Actor) -> OnceKey | None:
    """Tell this request from others under its key. Raises InvalidIdempotencyKey."""
    call = call_of(request.scope)
    key = call.header(b"idempotency-key")
    if key is None:
        return None
    if not _KEY.fullmatch(key):
        raise InvalidIdempotencyKey
    return OnceKey(caller=f"{actor.kind}:{actor.id}", key=key, fingerprint=_fingerprint(request, call))


def _fingerprint(request: Request, call: Call) -> bytes:
    head = f"{request.method} {request.scope['path']}\n"
    return hashlib.sha256(head.encode() + call.raw_body).digest()
