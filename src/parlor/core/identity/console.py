"""The console's door: a session of its own, for whoever may manage something."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import timedelta

from parlor.core.identity.entering import Door, Enter
from parlor.core.identity.history import Method
from parlor.core.identity.model import Client, InvalidToken, User
from parlor.core.identity.ports import Claims, Directory, Principals
from parlor.core.identity.use_cases import Principal, standing
from parlor.core.shared.actor import PermissionMissing
from parlor.core.shared.clock import Clock
from parlor.core.shared.ids import SessionId, UserId

CONSOLE_LIFE = timedelta(hours=12)
CONSOLE_IDLE = timedelta(hours=1)
CONSOLE_PERMISSIONS = frozenset(
    {"users:manage", "roles:manage", "api_keys:manage", "parties:manage", "chats:moderate", "tasks:manage"}
)


def must_manage_something(permissions: AbstractSet[str]) -> None:
    """Raise PermissionMissing for who has nothing to do in the console."""
    if not permissions & CONSOLE_PERMISSIONS:
        raise PermissionMissing(
            "This account may not use the console: it has no permission to manage anything."
        )


@dataclass(frozen=True, slots=True)
class Visit:
    """Who is in the console: which session of whose, and when they came and were seen last (seconds since 1970)."""

    user_id: UserId
    session_id: SessionId
    epoch: int
    came_at: float
    seen_at: float

    def over(self, now: float) -> bool:
        """Whether it ended by itself: an hour after it was last seen, 12 hours after it began."""
        return (
            now >= self.came_at + CONSOLE_LIFE.total_seconds()
            or now >= self.seen_at + CONSOLE_IDLE.total_seconds()
        )


@dataclass(frozen=True, slots=True)
class EnterConsole:
    """Whoever may manage something opens a session of the console with the right password.

    Raises InvalidCredentials, TooMany, Busy; PermissionMissing, and nothing is opened, for somebody who may not.
    """

    enter: Enter
    directory: Directory

    async def __call__(self, *, email: str, password: str, client: Client) -> Visit:
        door = Door(Method.CONSOLE, CONSOLE_LIFE, self._admit)
        entered = await self.enter(email=email, password=password, client=client, door=door)
        at = entered.session.created_at.timestamp()
        return Visit(entered.user.id, entered.session.id, entered.user.epoch, came_at=at, seen_at=at)

    async def _admit(self, user: User) -> None:
        known = await self.directory.by_id(user.id)
        must_manage_something(known.permissions if known is not None else frozenset())


@dataclass(frozen=True, slots=True)
class StandInConsole:
    """Tells who a visit stands for now. Raises InvalidToken where it, its session or its user has ended."""

    principals: Principals
    clock: Clock

    async def __call__(self, visit: Visit) -> Principal:
        if visit.over(self.clock().timestamp()):
            raise InvalidToken
        claims = Claims(
            visit.user_id, visit.session_id, visit.epoch, visit.came_at + CONSOLE_LIFE.total_seconds()
        )
        return await standing(self.principals, claims)
