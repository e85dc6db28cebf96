"""What other services ask about tokens: whom one stands for (RFC 7662), and that it ends (RFC 7009)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from parlor.core.identity.api_keys import (
    ApiKeys,
    KeyRing,
    find_key,
    has_key_form,
    key_standing,
    prefix_of,
)
from parlor.core.identity.api_keys_use_cases import end_key
from parlor.core.identity.model import InvalidToken
from parlor.core.identity.ports import AccessTokens, Claims, IdentityWork, Principals, RefreshTokens
from parlor.core.identity.use_cases import GraceWindow, standing
from parlor.core.shared.actor import Actor
from parlor.core.shared.clock import Clock
from parlor.core.shared.ids import SessionId, UserId
from parlor.core.shared.work import UnitOfWork

INTROSPECT = "tokens:introspect"


class TokenType(StrEnum):
    """What a token is asked about as."""

    ACCESS = "access_token"
    REFRESH = "refresh_token"
    API_KEY = "api_key"


@dataclass(frozen=True, slots=True)
class Active:
    """Whom an active token stands for; `exp` in seconds since 1970, None where it does not end by itself.

    `client_id` is the API key's own id, None for tokens; `sub` the person, None for a key without a maker.
    """

    sub: UserId | None
    sid: SessionId | None
    roles: Sequence[str]
    permissions: Sequence[str]
    exp: int | None
    client_id: UUID | None = None


class KeyedWork(IdentityWork, Protocol):
    """A transaction over users, sessions and API keys."""

    @property
    def api_keys(self) -> ApiKeys: ...


@dataclass(frozen=True, slots=True)
class IntrospectToken:
    """Whoever holds `tokens:introspect` learns whom a token stands for now; None where it does not count.

    It is looked at as an access token, unless the one who asks says otherwise: so a service that passes on whatever it
    was shown takes no refresh token and no API key for an access token.
    """

    work: UnitOfWork[IdentityWork]
    access: AccessTokens
    refresh: RefreshTokens
    principals: Principals
    keys: KeyRing
    clock: Clock
    grace: GraceWindow

    async def __call__(self, actor: Actor, token: str, kind: TokenType = TokenType.ACCESS) -> Active | None:
        """Raises PermissionMissing."""
        actor.must(INTROSPECT)
        try:
            match kind:
                case TokenType.ACCESS:
                    return await self._session(self.access.verify(token))
                case TokenType.REFRESH:
                    return await self._refreshing(token)
                case TokenType.API_KEY:
                    return await self._key(token)
        except InvalidToken:
            return None

    async def _session(self, claims: Claims) -> Active:
        user = (await standing(self.principals, claims)).user
        return Active(
            user.id, claims.session_id, user.roles, sorted(user.permissions), int(claims.expires_at)
        )

    async def _refreshing(self, token: str) -> Active:
        now, presented = self.clock(), self.refresh.fingerprint(token)
        async with self.work() as work:
            session = await work.sessions.get_by_token(presented)
        if session is None or not session.alive(now):
            raise InvalidToken
        if presented != session.current and not session.in_grace(presented, now, self.grace.length):
            raise InvalidToken
        user = await self.principals.find(session.user_id)
        ends_at = session.ends_at().timestamp()
        if user is None:
            raise InvalidToken
        return await self._session(Claims(user.id, session.id, epoch=user.epoch, expires_at=ends_at))

    async def _key(self, shown: str) -> Active:
        known = await find_key(self.keys, shown, self.clock())
        key = await key_standing(self.principals, known)
        exp = None if math.isinf(key.expires_at) else int(key.expires_at)
        return Active(known.maker_id, None, (), sorted(key.actor.permissions), exp, client_id=known.id)


@dataclass(frozen=True, slots=True)
class RevokeToken:
    """Whoever holds `tokens:introspect` ends the session of a token, or an API key; what does not count is no error."""

    work: UnitOfWork[KeyedWork]
    access: AccessTokens
    refresh: RefreshTokens
    principals: Principals
    clock: Clock

    async def __call__(self, actor: Actor, token: str) -> None:
        """Raises PermissionMissing."""
        actor.must(INTROSPECT)
        claims = await self._claimed(token)
        async with self.work() as work:
            if claims is not None:
                await self._end(work, claims.user_id, claims.session_id)
            elif has_key_form(token):
                await self._end_key(work, token)
            elif session := await work.sessions.get_by_token(self.refresh.fingerprint(token)):
                await self._end(work, session.user_id, session.id)

    async def _claimed(self, token: str) -> Claims | None:
        try:
            claims = self.access.verify(token)
            await standing(self.principals, claims)
        except InvalidToken:
            return None
        return claims

    async def _end(self, work: KeyedWork, user_id: UserId, session_id: SessionId) -> None:
        user = await work.users.find(user_id)
        if user is not None:
            await work.sessions.end(user, self.clock(), only=session_id)

    async def _end_key(self, work: KeyedWork, shown: str) -> None:
        key = await work.api_keys.get_by_prefix(prefix_of(shown))
        if key is not None and key.revoked_at is None and key.is_shown_by(shown):
            await end_key(work, key, self.clock())
