"""Mailed tokens in PostgreSQL: what has been taken is gone, in every process."""

from typing import Protocol

from asyncpg import Record

from parlor.adapters.sql.driver import PooledConnection
from parlor.core.identity.mail_tokens import InvalidMailToken, MailToken, Purpose
from parlor.core.shared.ids import UserId

_REPLACE = """
insert into mail_tokens (user_id, purpose, fingerprint, email_key, expires_at) values ($1, $2, $3, $4, $5)
on conflict (user_id, purpose) do update
   set fingerprint = excluded.fingerprint, email_key = excluded.email_key, expires_at = excluded.expires_at"""
_FIND = "select * from mail_tokens where fingerprint = $1 and purpose = $2"
_TAKE = "delete from mail_tokens where fingerprint = $1 and purpose = $2 returning *"
_REVOKE = "delete from mail_tokens where user_id = $1 and ($2::text is null or purpose = $2)"
FORGET = """
delete from mail_tokens where fingerprint = any(array(
    select fingerprint from mail_tokens where expires_at < clock_timestamp() - interval '1 minute'
     order by expires_at limit 1000 for update skip locked))"""


class MailTokenScope(Protocol):
    """What the repository needs of the work that it belongs to."""

    async def session(self) -> PooledConnection: ...


class SqlMailTokens:
    """Port `MailTokens`."""

    def __init__(self, work: MailTokenScope) -> None:
        self._work = work

    async def replace(self, token: MailToken) -> None:
        """Insert, or overwrite the older one."""
        await (await self._work.session()).execute(
            _REPLACE, token.user_id, token.purpose, token.fingerprint, token.email_key, token.expires_at
        )

    async def find(self, fingerprint: bytes, purpose: Purpose) -> MailToken:
        """Read it."""
        return _token(await (await self._work.session()).fetchrow(_FIND, fingerprint, purpose))

    async def take(self, fingerprint: bytes, purpose: Purpose) -> MailToken:
        """Delete and answer it; who waited for the same row finds it gone."""
        return _token(await (await self._work.session()).fetchrow(_TAKE, fingerprint, purpose))

    async def revoke(self, user_id: UserId, *, purpose: Purpose | None = None) -> None:
        """Delete the user's."""
        await (await self._work.session()).execute(_REVOKE, user_id, purpose)


def _token(row: Record | None) -> MailToken:
    if row is None:
        raise InvalidMailToken
    return MailToken(
        user_id=UserId(row["user_id"]),
        purpose=Purpose(row["purpose"]),
        fingerprint=row["fingerprint"],
        email_key=row["email_key"],
        expires_at=row["expires_at"],
    )
