"""What can go wrong, told without HTTP.

ParlorError
 ├── Invalid          the request is well-formed but breaks a rule
 ├── Unauthenticated  nobody, or not who they say they are
 ├── Forbidden        known, but not allowed on something they may see
 ├── NotFound         absent, or not visible to the one who asks
 ├── Conflict         at odds with the present state
 ├── Stale            an `If-Match` that no longer matches
 ├── TooMany          asked too often; says when to come back
 └── Unavailable      a needed part is away or full; says when to come back

A class of its own under one of the kinds carries a stable `code`; its docstring is what clients are told.
"""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Flaw:
    """One thing wrong with a request: where (a JSON pointer, `query:limit`, `header:…`), a code, a sentence."""

    pointer: str
    code: str
    detail: str


class ParlorError(Exception):
    """Something went wrong that its caller can understand."""

    code: ClassVar[str] = "internal_error"

    def __init__(self, detail: str | None = None) -> None:
        self.detail = detail or inspect.cleandoc(type(self).__doc__ or self.code).splitlines()[0]
        super().__init__(self.detail)


class Invalid(ParlorError):
    """The request is well-formed but breaks a rule."""

    code = "invalid_request"

    def __init__(self, detail: str | None = None, *, flaws: Sequence[Flaw] = ()) -> None:
        super().__init__(detail)
        self.flaws = tuple(flaws)


class Unauthenticated(ParlorError):
    """A valid credential is needed."""

    code = "unauthenticated"


class Forbidden(ParlorError):
    """You are not allowed to do this."""

    code = "forbidden"


class NotFound(ParlorError):
    """There is no such thing, or it is not visible to you."""

    code = "not_found"


class Conflict(ParlorError):
    """This is at odds with the present state."""

    code = "conflict"


class Stale(ParlorError):
    """The resource has changed since the version that `If-Match` names."""

    code = "version_mismatch"


class TooMany(ParlorError):
    """Too many requests."""

    code = "too_many_requests"

    def __init__(self, detail: str | None = None, *, retry_after: int = 1) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class Unavailable(ParlorError):
    """A needed part is away or full; try again."""

    code = "unavailable"

    def __init__(self, detail: str | None = None, *, retry_after: int = 1) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class UnknownUser(Invalid):
    """There is no such active user."""

    code = "unknown_user"

    def __init__(self, *pointers: str) -> None:
        super().__init__(
            flaws=[Flaw(one, "unknown_user", "There is no such active user.") for one in pointers]
        )


class Contended(Exception):
    """The database refused this run in favour of another; the use case runs again."""


class DatabaseAway(Unavailable):
    """The database cannot be reached right now."""

    code = "database_unavailable"


class LockTimeout(Unavailable):
    """Another change to the same thing takes too long; try again."""

    code = "lock_timeout"


class Busy(Unavailable):
    """The server has as much of this work as it can take; try again."""

    code = "busy"


class IdempotencyKeyReused(Invalid):
    """This idempotency key was used with another request."""

    code = "idempotency_key_reused"


class IdempotencyInProgress(Conflict):
    """The first request with this idempotency key is still running."""

    code = "idempotency_in_progress"
