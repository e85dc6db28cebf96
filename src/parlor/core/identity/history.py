"""The login history: where and how an account was entered, or was not."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from parlor.core.identity.model import Client
from parlor.core.shared.actor import Actor
from parlor.core.shared.ids import SessionId, UserId
from parlor.core.shared.paging import Page, PageRequest


class Outcome(StrEnum):
    """What happened."""

    SUCCESS = "success"
    WRONG_PASSWORD = "wrong_password"  # noqa: S105 - what happened, not what was typed
    DISABLED = "disabled"
    THROTTLED = "throttled"
    REFRESH_REUSE = "refresh_reuse"
    LOGOUT = "logout"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 - as above
    API_KEY_CREATED = "api_key_created"


class Method(StrEnum):
    """By which door."""

    PASSWORD = "password"  # noqa: S105 - a door's name
    REFRESH = "refresh"
    SESSION = "session"
    CONSOLE = "console"


@dataclass(frozen=True, slots=True)
class LoginEntry:
    """One line of a user's history; `session_id` is the session that began, ended or acted, where there was one."""

    user_id: UserId
    at: datetime
    outcome: Outcome
    method: Method
    client: Client
    session_id: SessionId | None = None


class History(Protocol):
    """The lines of every user."""

    async def add(self, entry: LoginEntry) -> None:
        """Write a line, in the transaction of what it tells of; of throttled ones one a minute and user."""
        ...

    async def forget_clients(self, user_id: UserId, *, limit: int) -> int:
        """Take address, network and browser out of so many of the user's lines at most; answers out of how many."""
        ...


class LoginViews(Protocol):
    """The history as it is read."""

    async def page(self, viewer: Actor, user_id: UserId, page: PageRequest) -> Page[bytes]:
        """Read a user's lines, the newest first, as a JSON array: one's own, or anybody's with `users:manage`.

        Raises PermissionMissing, NotFound.
        """
        ...
