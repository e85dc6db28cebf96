"""Idempotency keys: the first insert of a transaction, so that a twin waits on its unique index."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from parlor.adapters.sql.driver import PooledConnection
from parlor.core.shared.errors import Flaw, IdempotencyInProgress, IdempotencyKeyReused
from parlor.core.shared.work import Earlier, OnceKey

_CLAIM = """
insert into idempotency_keys as held (caller, key, fingerprint, status, ids) values ($1, $2, $3, $4, $5)
on conflict (caller, key) do update
   set fingerprint = excluded.fingerprint, status = excluded.status, ids = excluded.ids,
       created_at = clock_timestamp()
 where held.created_at < clock_timestamp() - interval '24 hours'
returning true"""
_FIND = "select fingerprint, status, ids from idempotency_keys where caller = $1 and key = $2"
_AMEND = "update idempotency_keys set status = $3, ids = $4 where caller = $1 and key = $2"
FORGET = """
delete from idempotency_keys where ctid = any(array(
    select ctid from idempotency_keys where created_at < clock_timestamp() - interval '24 hours'
     order by created_at limit 1000 for update skip locked))"""


async def claim(session: PooledConnection, key: OnceKey, status: int, ids: Sequence[UUID]) -> Earlier | None:
    """Take the key (None), or answer what stands under it; a twin that runs is waited for up to `lock_timeout`."""
    try:
        taken = await session.fetchval(_CLAIM, key.caller, key.key, key.fingerprint, status, list(ids))
    except asyncpg.LockNotAvailableError as error:
        raise IdempotencyInProgress from error
    if taken:
        return None
    row = await session.fetchrow(_FIND, key.caller, key.key)
    if row is None:
        raise IdempotencyInProgress
    if row["fingerprint"] != key.fingerprint:
        flaw = Flaw(
            "header:Idempotency-Key", IdempotencyKeyReused.code, "The key belongs to another request."
        )
        raise IdempotencyKeyReused(flaws=[flaw])
    return Earlier(status=row["status"], ids=tuple(row["ids"]))


async def amend(session: PooledConnection, key: OnceKey, status: int, ids: Sequence[UUID]) -> None:
    """Replace the answer under a key that this transaction holds."""
    await session.execute(_AMEND, key.caller, key.key, status, list(ids))
