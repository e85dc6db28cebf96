"""The end of an account."""

from dataclasses import dataclass

from parlor.core.identity.events import UserDeleted
from parlor.core.identity.model import Client
from parlor.core.identity.passwords import CheckPassword, unchanged
from parlor.core.identity.ports import IdentityWork
from parlor.core.identity.roles import RoleWork
from parlor.core.identity.use_cases import Principal
from parlor.core.shared.clock import Clock
from parlor.core.shared.ids import UserId
from parlor.core.shared.preconditions import ANY_VERSION, Expected
from parlor.core.shared.work import UnitOfWork

BATCH = 500


@dataclass(frozen=True, slots=True)
class DeleteAccount:
    """A user who knows the password ends the account for good: at once nobody can enter it or find its owner in it.

    Raises WrongPassword, TooMany, Stale, LastAdmin. What else there is, in every context, goes
    after the answer, by a task (`core/shared/farewell.py`).
    """

    work: UnitOfWork[RoleWork]
    check: CheckPassword
    clock: Clock

    async def __call__(
        self, principal: Principal, *, password: str, client: Client, expected: Expected = ANY_VERSION
    ) -> None:
        known = await self.check(principal, password, client)
        now = self.clock()
        async with self.work() as work:
            user = await unchanged(work, known)
            expected.must_be(user.version)
            await work.roles.must_keep_an_admin(without_user=user.id)
            user.leave(now)
            await work.users.save(user)
            await work.sessions.end(user, now)
            await work.mail_tokens.revoke(user.id)
            work.publish(UserDeleted(user.id))


@dataclass(frozen=True, slots=True)
class ForgetClients:
    """From where, and with what, a user who left came in is in no history and no session any more."""

    work: UnitOfWork[IdentityWork]

    async def __call__(self, user_id: UserId) -> None:
        while await self._forget(user_id):
            pass

    async def _forget(self, user_id: UserId) -> bool:
        async with self.work() as work:
            lines = await work.history.forget_clients(user_id, limit=BATCH)
            sessions = await work.sessions.forget_clients(user_id, limit=BATCH)
        return BATCH in (lines, sessions)
