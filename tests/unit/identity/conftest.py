"""Identity's use cases over fakes, on one clock."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from parlor.adapters.memory.throttle import MemoryThrottle
from parlor.core.identity.attempts import LoginGuard
from parlor.core.identity.entering import Enter
from parlor.core.identity.history import LoginEntry, Method, Outcome
from parlor.core.identity.mail_tokens import LIFE, MailToken, Purpose, fingerprint_of
from parlor.core.identity.mailing import SendMailHandler
from parlor.core.identity.model import Client, Session, User
from parlor.core.identity.passwords import ChangePassword, CheckPassword, ConfirmReset
from parlor.core.identity.sessions import EndSession
from parlor.core.identity.use_cases import (
    Authenticate,
    GraceWindow,
    LogIn,
    LogOut,
    PasswordPolicy,
    Principal,
    Refresh,
    Register,
    ResetPassword,
    TokenPair,
)
from tests.builders import PASSWORD, a_user
from tests.fakes.clock import FakeClock
from tests.fakes.identity import (
    FakeAccessTokens,
    FakeAttempts,
    FakeDirectory,
    FakeFamilies,
    FakeHasher,
    FakeRefreshTokens,
    IdentityStore,
)
from tests.fakes.work import FakeDatabase

GRACE = timedelta(seconds=20)
CLIENT = Client(ip="192.0.2.7", user_agent="a browser")


@dataclass(slots=True)
class Identity:
    """Every use case, and the store that they share."""

    clock: FakeClock = field(default_factory=FakeClock)
    hasher: FakeHasher = field(default_factory=FakeHasher)
    access: FakeAccessTokens = field(default_factory=FakeAccessTokens)
    refreshing: FakeRefreshTokens = field(default_factory=FakeRefreshTokens)
    common: frozenset[str] = frozenset({"password1"})
    database: FakeDatabase = field(init=False)
    directory: FakeDirectory = field(init=False)
    throttle: MemoryThrottle = field(init=False)

    def __post_init__(self) -> None:
        self.database = FakeDatabase(self.clock)
        self.directory = FakeDirectory(self._store)
        self.throttle = MemoryThrottle(monotonic=self._monotonic)

    def _monotonic(self) -> float:
        return self.clock.now.timestamp()

    def _store(self) -> IdentityStore:
        return self.database.store.identity

    @property
    def policy(self) -> PasswordPolicy:
        return PasswordPolicy(self.common)

    @property
    def register(self) -> Register:
        return Register(self.database.work, self.directory, self.hasher, self.policy, self.clock)

    @property
    def log_in(self) -> LogIn:
        guard = LoginGuard(self.throttle, FakeAttempts(self._store), self.clock)
        enter = Enter(self.database.work, guard, self.hasher, self.refreshing, self.clock)
        return LogIn(enter, self.access, self.clock)

    @property
    def refresh(self) -> Refresh:
        return Refresh(
            self.database.work,
            self.access,
            self.refreshing,
            FakeFamilies(self._store),
            self.throttle,
            self.clock,
            GraceWindow(GRACE),
        )

    @property
    def log_out(self) -> LogOut:
        return LogOut(self.database.work, self.clock)

    @property
    def end_session(self) -> EndSession:
        return EndSession(self.database.work, self.clock)

    @property
    def reset_password(self) -> ResetPassword:
        return ResetPassword(self.database.work, self.hasher, self.policy, self.clock)

    @property
    def check(self) -> CheckPassword:
        return CheckPassword(self.database.work, self.hasher, self.throttle, self.clock)

    @property
    def change_password(self) -> ChangePassword:
        return ChangePassword(self.database.work, self.check, self.hasher, self.policy, self.clock)

    @property
    def confirm_reset(self) -> ConfirmReset:
        return ConfirmReset(self.database.work, self.hasher, self.policy, self.clock)

    @property
    def authenticate(self) -> Authenticate:
        return Authenticate(self.access, self.directory)

    async def add(self, user: User | None = None) -> User:
        user = user or a_user()
        async with self.database.work() as work:
            await work.users.add(user)
        return user

    async def enter(self, user: User) -> TokenPair:
        return await self.log_in(email=user.email, password=PASSWORD, client=CLIENT)

    async def principal(self, pair: TokenPair) -> Principal:
        return await self.authenticate(pair.access_token)

    @asynccontextmanager
    async def changing(self, user: User) -> AsyncIterator[User]:
        async with self.database.work() as work:
            stored = await work.users.get(user.id)
            yield stored
            await work.users.save(stored)

    def user(self, user: User) -> User:
        return self.database.store.identity.users[user.id]

    def sessions(self, user: User) -> list[Session]:
        return [one for one in self.database.store.identity.sessions.values() if one.user_id == user.id]

    def live_sessions(self, user: User) -> list[Session]:
        return [one for one in self.sessions(user) if one.ended_at is None]

    def history(self, user: User) -> list[tuple[Outcome, Method, object]]:
        """List what happened to the account beside its logins."""
        lines = (line for line in self.lines(user) if line.outcome is not Outcome.SUCCESS)
        return [(line.outcome, line.method, line.session_id) for line in lines]

    def mail_orders(self) -> list[dict[str, object]]:
        """List what was ordered, secret fields included."""
        tasks = self.database.store.tasks.tasks.values()
        return [
            {**task.payload, **(task.secrets or {})} for task in tasks if task.kind == SendMailHandler.kind
        ]

    async def mailed(self, user: User, purpose: Purpose, secret: str = "mailed") -> str:
        """As if a mail had brought this token."""
        token = MailToken(user.id, purpose, fingerprint_of(secret), user.email_key, self.clock() + LIFE)
        async with self.database.work() as work:
            await work.mail_tokens.replace(token)
        return secret

    def lines(self, user: User) -> list[LoginEntry]:
        return [line for line in self.database.store.identity.logins if line.user_id == user.id]

    def facts(self) -> list[tuple[str, object]]:
        return [(fact.name, fact.subject) for fact in self.database.store.facts]


@pytest.fixture
def identity() -> Identity:
    return Identity()
