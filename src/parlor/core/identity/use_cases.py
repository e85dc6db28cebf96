"""What people do with their accounts."""

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from parlor.core.identity.entering import Enter
from parlor.core.identity.events import RefreshReuseDetected, UserRegistered
from parlor.core.identity.history import LoginEntry, Method, Outcome
from parlor.core.identity.mail_tokens import Purpose
from parlor.core.identity.model import (
    Client,
    EmailTaken,
    InvalidGrant,
    InvalidToken,
    Session,
    User,
    check_email,
    email_key,
    sought_key,
)
from parlor.core.identity.ports import (
    AccessTokens,
    Claims,
    CommonPasswords,
    Directory,
    Families,
    IdentityWork,
    PasswordHasher,
    Principals,
    RefreshTokens,
    Snapshot,
)
from parlor.core.identity.throttling import REFRESH_BY_SESSION, Throttle
from parlor.core.shared.actor import Actor, ActorKind
from parlor.core.shared.clock import Clock
from parlor.core.shared.errors import Flaw, Invalid, NotFound
from parlor.core.shared.ids import SessionId, uuid7
from parlor.core.shared.work import UnitOfWork


@dataclass(frozen=True, slots=True)
class TokenPair:
    """An access token and the refresh token that brings the next one; lives in seconds."""

    access_token: str
    expires_in: int
    refresh_token: str
    refresh_expires_in: int


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a request acts as, in which session, and until when its credential counts (seconds since 1970)."""

    actor: Actor
    user: Snapshot
    session_id: SessionId
    expires_at: float = math.inf


class LogoutScope(StrEnum):
    """Which of one's own sessions end."""

    THIS = "this"
    OTHERS = "others"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class PasswordPolicy:
    """Refuses what an attacker tries first."""

    common: CommonPasswords

    def check(self, password: str, *, pointer: str) -> str:
        """Answer the password in NFC; raises Invalid with `password_too_common`."""
        composed = unicodedata.normalize("NFC", password)
        if composed in self.common:
            flaw = Flaw(pointer, "password_too_common", "This password is on every attacker's list.")
            raise Invalid(flaws=[flaw])
        return composed


@dataclass(frozen=True, slots=True)
class Register:
    """Anybody makes an account, with the role `user`."""

    work: UnitOfWork[IdentityWork]
    directory: Directory
    hasher: PasswordHasher
    policy: PasswordPolicy
    clock: Clock

    async def __call__(
        self,
        *,
        email: str,
        password: str,
        display_name: str | None,
        roles: frozenset[str] = frozenset({"user"}),
    ) -> User:
        email = check_email(email)
        password = self.policy.check(password, pointer="/password")
        if await self.directory.by_email(email_key(email)) is not None:
            raise EmailTaken
        password_hash = await self.hasher.hash(password)
        user = User.newcomer(email, password_hash, display_name=display_name, at=self.clock(), roles=roles)
        async with self.work() as work:
            await work.users.add(user)
            work.publish(UserRegistered(user.id))
        return user


@dataclass(frozen=True, slots=True)
class LogIn:
    """Anybody with the right password opens a session. An unknown address takes the same time and says the same."""

    enter: Enter
    access: AccessTokens
    clock: Clock

    async def __call__(self, *, email: str, password: str, client: Client) -> TokenPair:
        entered = await self.enter(email=email, password=password, client=client)
        return _pair(self.access, entered.user, entered.session, entered.refresh_token, self.clock())


@dataclass(frozen=True, slots=True)
class GraceWindow:
    """How long a used refresh token's direct repetition is answered with the same successor."""

    length: timedelta


@dataclass(frozen=True, slots=True)
class Refresh:
    """Whoever holds a session's current refresh token gets the next pair; a replay ends the session."""

    work: UnitOfWork[IdentityWork]
    access: AccessTokens
    refresh: RefreshTokens
    families: Families
    throttle: Throttle
    clock: Clock
    grace: GraceWindow

    async def __call__(self, *, refresh_token: str, client: Client) -> TokenPair:
        presented = self.refresh.fingerprint(refresh_token)
        successors = self.refresh.successors(refresh_token)
        await self._admit(presented)
        async with self.work() as work:
            pair = await self._rotate(work, presented, successors, client)
        if pair is None:
            raise InvalidGrant
        return pair

    async def _admit(self, presented: bytes) -> None:
        session_id = await self.families.session_of(presented)
        if session_id is None:
            raise InvalidGrant
        await self.throttle.take(REFRESH_BY_SESSION, str(session_id))

    async def _rotate(
        self, work: IdentityWork, presented: bytes, successors: Sequence[str], client: Client
    ) -> TokenPair | None:
        now = self.clock()
        session = await work.sessions.get_by_token(presented)
        user = await work.users.find(session.user_id) if session else None
        if session is None or user is None or not user.active or not session.alive(now):
            return None
        if presented == session.current:
            session.rotate(self.refresh.fingerprint(successors[0]), now)
            await work.sessions.save(session)
        elif not session.in_grace(presented, now, self.grace.length):
            await work.sessions.end(user, now, only=session.id)
            await work.history.add(
                LoginEntry(user.id, now, Outcome.REFRESH_REUSE, Method.REFRESH, client, session.id)
            )
            work.publish(RefreshReuseDetected(user.id, session.id))
            return None
        # Under whichever key it was derived: while keys are rotated, processes have different newest ones. Under one
        # that is not known here it is no replay either, but cannot be repeated.
        by_fingerprint = {self.refresh.fingerprint(token): token for token in successors}
        issued = by_fingerprint.get(session.current)
        return _pair(self.access, user, session, issued, now) if issued is not None else None


@dataclass(frozen=True, slots=True)
class LogOut:
    """A user ends this session, the others, or all of them and every token with them."""

    work: UnitOfWork[IdentityWork]
    clock: Clock

    async def __call__(self, principal: Principal, *, scope: LogoutScope, client: Client) -> None:
        now = self.clock()
        async with self.work() as work:
            user = await work.users.get(principal.user.id)
            match scope:
                case LogoutScope.THIS:
                    ended = await work.sessions.end(user, now, only=principal.session_id)
                case LogoutScope.OTHERS:
                    ended = await work.sessions.end(user, now, but=principal.session_id)
                case LogoutScope.ALL:
                    user.end_all_tokens(now)
                    await work.users.save(user)
                    ended = await work.sessions.end(user, now)
            if ended:
                entry = LoginEntry(user.id, now, Outcome.LOGOUT, Method.SESSION, client, principal.session_id)
                await work.history.add(entry)


@dataclass(frozen=True, slots=True)
class ResetPassword:
    """Whoever runs commands on the server gives a user a new password; all sessions end."""

    work: UnitOfWork[IdentityWork]
    hasher: PasswordHasher
    policy: PasswordPolicy
    clock: Clock

    async def __call__(self, *, email: str, password: str) -> None:
        password_hash = await self.hasher.hash(self.policy.check(password, pointer="/password"))
        now = self.clock()
        async with self.work() as work:
            found = await work.users.find_by_email(sought_key(email))
            if found is None:
                raise NotFound("No user has this e-mail address.")
            user = await work.users.get(found.id)
            user.change_password(password_hash, now)
            await work.users.save(user)
            await work.sessions.end(user, now)
            await work.mail_tokens.revoke(user.id, purpose=Purpose.PASSWORD_RESET)


@dataclass(frozen=True, slots=True)
class Authenticate:
    """Tells who an access token stands for; a token that an ended session or a raised epoch left behind is refused."""

    access: AccessTokens
    principals: Principals

    async def __call__(self, token: str) -> Principal:
        return await standing(self.principals, self.access.verify(token))


async def standing(principals: Principals, claims: Claims) -> Principal:
    """Tell who these claims stand for now. Raises InvalidToken where their user or session has ended."""
    user = await principals.find(claims.user_id)
    if user is None or user.status != "active" or user.epoch != claims.epoch:
        raise InvalidToken
    if claims.session_id not in user.sessions:
        raise InvalidToken
    actor = Actor(kind=ActorKind.USER, id=user.id, user_id=user.id, permissions=user.permissions)
    return Principal(actor=actor, user=user, session_id=claims.session_id, expires_at=claims.expires_at)


def _pair(access: AccessTokens, user: User, session: Session, refresh_token: str, now: datetime) -> TokenPair:
    fresh = access.issue(user.id, session.id, epoch=user.epoch, token_id=uuid7(), roles=user.roles)
    return TokenPair(
        access_token=fresh.token,
        expires_in=fresh.expires_in,
        refresh_token=refresh_token,
        refresh_expires_in=int((session.ends_at() - now).total_seconds()),
    )
