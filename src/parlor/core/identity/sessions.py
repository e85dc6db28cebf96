"""A user's own sessions: seen, and ended one by one."""

from dataclasses import dataclass
from typing import Protocol

from parlor.core.identity.history import LoginEntry, Method, Outcome
from parlor.core.identity.model import MANAGE_USERS, Client
from parlor.core.identity.ports import IdentityWork
from parlor.core.identity.use_cases import Principal
from parlor.core.shared.actor import Actor
from parlor.core.shared.clock import Clock
from parlor.core.shared.errors import NotFound
from parlor.core.shared.ids import SessionId, UserId
from parlor.core.shared.paging import Page, PageRequest
from parlor.core.shared.work import UnitOfWork


class SessionViews(Protocol):
    """Sessions as their users see them."""

    async def page(self, viewer: Principal, page: PageRequest) -> Page[bytes]:
        """Read those that live, the newest first, as a JSON array; the viewer's own one is marked."""
        ...


@dataclass(frozen=True, slots=True)
class EndSession:
    """A user ends one of their own sessions, at once and for good."""

    work: UnitOfWork[IdentityWork]
    clock: Clock

    async def __call__(self, principal: Principal, session_id: SessionId, *, client: Client) -> None:
        now = self.clock()
        async with self.work() as work:
            user = await work.users.get(principal.user.id)
            if not await work.sessions.end(user, now, only=session_id):
                raise NotFound
            await work.history.add(
                LoginEntry(user.id, now, Outcome.LOGOUT, Method.SESSION, client, session_id)
            )


@dataclass(frozen=True, slots=True)
class EndSessionOf:
    """Whoever manages users ends one session of one of them, with every token of it."""

    work: UnitOfWork[IdentityWork]
    clock: Clock

    async def __call__(self, actor: Actor, user_id: UserId, session_id: SessionId) -> None:
        """Raises PermissionMissing, NotFound where it has ended already."""
        actor.must(MANAGE_USERS)
        async with self.work() as work:
            user = await work.users.get(user_id)
            if not await work.sessions.end(user, self.clock(), only=session_id):
                raise NotFound("It has ended already.")
