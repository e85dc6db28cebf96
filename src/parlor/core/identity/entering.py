"""The way in with a password: the same for whoever gets tokens and for whoever opens the console."""

import unicodedata
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from parlor.core.identity.attempts import LoginGuard
from parlor.core.identity.history import LoginEntry, Method, Outcome
from parlor.core.identity.model import SESSION_LIFE, Client, InvalidCredentials, Session, User, sought_key
from parlor.core.identity.ports import IdentityWork, PasswordHasher, RefreshTokens
from parlor.core.shared.clock import Clock
from parlor.core.shared.errors import Contended, Forbidden
from parlor.core.shared.ids import SessionId, uuid7
from parlor.core.shared.work import UnitOfWork


async def anybody(user: User) -> None:
    """Admit whoever has the right password."""
    del user


@dataclass(frozen=True, slots=True)
class Door:
    """How the history calls a way in, how long a session lasts, and who is refused in spite of the right password."""

    method: Method = Method.PASSWORD
    life: timedelta = SESSION_LIFE
    admit: Callable[[User], Awaitable[None]] = anybody


BY_PASSWORD = Door()


@dataclass(frozen=True, slots=True)
class Entered:
    """Who came in, the session that began, and the refresh token that nothing but its holder knows."""

    user: User
    session: Session
    refresh_token: str


@dataclass(frozen=True, slots=True)
class Enter:
    """Opens a session for whoever has the right password. An unknown address takes the same time and says the same.

    Raises InvalidCredentials, TooMany, Busy, and Forbidden where the door does.
    """

    work: UnitOfWork[IdentityWork]
    guard: LoginGuard
    hasher: PasswordHasher
    refresh: RefreshTokens
    clock: Clock

    async def __call__(
        self, *, email: str, password: str, client: Client, door: Door = BY_PASSWORD
    ) -> Entered:
        account, password = sought_key(email), unicodedata.normalize("NFC", password)
        async with self.guard.letting_in(account, client, door.method) as attempt:
            known = await self._checked(account, password)
            attempt.outcome = Outcome.DISABLED  # with the right password nothing else is left to fail by
            if not known.active:
                raise InvalidCredentials
            await self._admit(known, client, door)
            outdated = self.hasher.outdated(known.password_hash)
            upgraded = await self.hasher.hash(password) if outdated else None
            return await self._open(known, upgraded, client, door)

    async def _admit(self, known: User, client: Client, door: Door) -> None:
        """Ask the door. Who is refused there has shown the right password all the same, and its owner hears of it."""
        try:
            await door.admit(known)
        except Forbidden:
            entry = LoginEntry(known.id, self.clock(), Outcome.SUCCESS, door.method, client, None)
            async with self.work() as work:
                await work.history.add(entry)
            raise

    async def _checked(self, account: str, password: str) -> User:
        async with self.work() as work:
            known = await work.users.find_by_email(account)
        right = await self.hasher.verify(password, known.password_hash if known else None)
        if known is None or not right:
            raise InvalidCredentials
        return known

    async def _open(self, known: User, upgraded: str | None, client: Client, door: Door) -> Entered:
        token = self.refresh.first()
        session = self._session(known, token, client, door.life)
        async with self.work() as work:
            user = await work.users.get(known.id)
            if not user.active:
                raise InvalidCredentials
            if user.password_hash != known.password_hash:
                raise Contended("users.password_hash")  # another password, or a twin's newer hash of the same
            if upgraded is not None:
                user.rehash(upgraded)
                await work.users.save(user)
            await work.sessions.add(user, session)
            await work.history.add(
                LoginEntry(user.id, session.created_at, Outcome.SUCCESS, door.method, client, session.id)
            )
        return Entered(user, session, token)

    def _session(self, user: User, token: str, client: Client, life: timedelta) -> Session:
        now = self.clock()
        return Session(
            id=SessionId(uuid7()),
            user_id=user.id,
            created_at=now,
            last_used_at=now,
            expires_at=now + life,
            current=self.refresh.fingerprint(token),
            client=client,
        )
