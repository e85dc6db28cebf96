"""Cross-origin requests: answered for configured origins, and for no others."""

from collections.abc import Sequence

from parlor.entrypoints.http.call import Call

Headers = list[tuple[bytes, bytes]]

ASKED_WITH = (
    b"Authorization",
    b"Content-Type",
    b"Idempotency-Key",
    b"If-Match",
    b"If-None-Match",
    b"Last-Event-ID",
    b"X-API-Key",
    b"X-Request-ID",
    b"Traceparent",
)
READ_FROM = (
    b"ETag",
    b"Location",
    b"Retry-After",
    b"WWW-Authenticate",
    b"Idempotent-Replayed",
    b"X-Request-ID",
)
VARY: Headers = [(b"vary", b"Origin")]
PREFLIGHT: Headers = [
    (b"access-control-allow-methods", b"GET, POST, PUT, PATCH, DELETE"),
    (b"access-control-allow-headers", b", ".join(ASKED_WITH)),
    (b"access-control-max-age", b"600"),
]
EXPOSED: Headers = [(b"access-control-expose-headers", b", ".join(READ_FROM))]


class Cors:
    """The origins whose pages may read our answers."""

    def __init__(self, origins: Sequence[str]) -> None:
        self._origins = frozenset(origin.rstrip("/").encode() for origin in origins)

    def headers(self, call: Call, method: str) -> Headers:
        """Say what a browser must know; nothing for a foreign origin."""
        if not self._origins:
            return []
        origin = call.headers.get(b"origin")
        if origin not in self._origins or origin is None:
            return VARY
        allowed = [*VARY, (b"access-control-allow-origin", origin)]
        return allowed + (PREFLIGHT if self.is_preflight(call, method) else EXPOSED)

    def is_preflight(self, call: Call, method: str) -> bool:
        """Whether a page of a known origin asks what it may send."""
        return (
            method == "OPTIONS"
            and b"access-control-request-method" in call.headers
            and call.headers.get(b"origin") in self._origins
        )
