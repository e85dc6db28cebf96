"""What can go wrong for a client.

ClientError
├── Problem      Parlor answered with an error: RFC 9457
├── Unreachable  no answer came, after every attempt that was safe
├── SignedOut    the session has ended, or there never was one: log in again
└── Refused      an `error` frame over the WebSocket
"""

from typing import Any

import httpx

TOO_MANY, SERVER_ERROR = 429, 500
# What a frame's error calls what an answer would say by its status.
PASSING = frozenset(
    {"unavailable", "busy", "database_busy", "database_unavailable", "lock_timeout", "internal_error"}
)


class ClientError(Exception):
    """Whatever this package raises; `temporary` tells whether the same may go well a little later."""

    temporary = False
    retry_after = 0.0  # seconds that the server asks for


class Unreachable(ClientError):
    """No answer: whether the request arrived is not known."""

    temporary = True


class SignedOut(ClientError):
    """The refresh token is unknown, used up, expired or revoked; or nobody logged in."""


class Refused(ClientError):
    """The server refuses a frame; `code` is stable, `detail` is for people."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code = code
        self.detail = detail
        self.temporary = code in PASSING


class Problem(ClientError):
    """An answer that is no success. `errors` names what is wrong with which field; `code` is stable."""

    def __init__(self, status: int, body: dict[str, Any], retry_after: float = 0) -> None:
        self.status = status
        self.code: str = body.get("code", f"http_{status}")
        self.detail: str = body.get("detail", "")
        self.errors: list[dict[str, str]] = body.get("errors", [])
        self.request_id: str | None = body.get("request_id")
        self.retry_after = retry_after
        super().__init__(f"{status} {self.code}: {self.detail} (request {self.request_id})")

    @property
    def temporary(self) -> bool:  # type: ignore[override]  # a fact of the class elsewhere, of the answer here
        """Whether the request may be sent again as it is."""
        passing = self.status == TOO_MANY or self.status >= SERVER_ERROR
        return passing or self.code == "idempotency_in_progress"


def problem_of(answer: httpx.Response) -> Problem:
    """Read a refusal; one that something between wrote, such as a proxy, has the code `http_<status>`."""
    try:
        body = answer.json()
    except ValueError:
        body = None
    seconds = answer.headers.get("Retry-After", "")
    return Problem(
        answer.status_code,
        body if isinstance(body, dict) else {},
        float(seconds) if seconds.isdecimal() else 0,
    )
