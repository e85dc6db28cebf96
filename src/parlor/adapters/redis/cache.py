"""The cache in Redis: values, leases to store them, and the marks of writers.

A reader that misses gets a lease, and stores under it. A writer takes the leases away with the values, when
it marks and when it drops, and nobody gets one while a mark stands. Leases and the epoch are random and live
in Redis only: one that lost them (restart, eviction) refuses a store, where counters would begin again.
"""

import asyncio
import secrets
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice

from redis.commands.core import AsyncScript

from parlor.adapters.redis.client import RedisAway, RedisLink
from parlor.core.shared.caching import Cached

# Longer than the 15 s after which PostgreSQL ends an idle transaction: the mark of a writer that was
# killed outlives what it wrote.
MARK_LIFE_S = 30.0
LEASE_LIFE_S = 60.0
EPOCH_LIFE_S = 86_400.0
MOST_OWED = 10_000
PAY_EVERY_S = 0.1
BATCH = 500
WORD = 16  # the length of an epoch, and of a lease behind it
UNKNOWN = Cached(value=None, generation=None)

LEASE = """
local time = redis.call('TIME')
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', time[1] * 1000 + math.floor(time[2] / 1000))
if redis.call('EXISTS', KEYS[3]) == 1 then return false end
local epoch = redis.call('GET', KEYS[1])
if not epoch then
  epoch = ARGV[1]
  redis.call('SET', KEYS[1], epoch, 'PX', ARGV[3])
end
local lease = redis.call('GET', KEYS[2])
if not lease or string.sub(lease, 1, #epoch) ~= epoch then
  lease = epoch .. ARGV[1]
  redis.call('SET', KEYS[2], lease, 'PX', ARGV[2])
end
return lease
"""
STORE = """
local epoch = redis.call('GET', KEYS[1])
if epoch and redis.call('GET', KEYS[2]) == epoch .. ARGV[1] then
  redis.call('SET', KEYS[3], epoch .. ARGV[2], 'PX', ARGV[3])
end
"""
MARK = """
local time = redis.call('TIME')
local ends = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[2]
for i = 1, #KEYS, 3 do
  redis.call('UNLINK', KEYS[i], KEYS[i + 1])
  redis.call('ZADD', KEYS[i + 2], ends, ARGV[1])
  redis.call('PEXPIRE', KEYS[i + 2], ARGV[2])
end
"""
DROP = """
for i = 1, #KEYS, 3 do
  redis.call('UNLINK', KEYS[i], KEYS[i + 1])
  redis.call('ZREM', KEYS[i + 2], ARGV[1])
end
"""


class RedisCache:
    """Port Cache. Every key that it makes in Redis ends by itself.

    What Redis could not be told (a mark, a drop) is owed. Until it is told, this process reads nothing from
    the cache and stores nothing: the values there may be older than a write that it has answered. Another
    process may read such a value only in the second after Redis is back, and not if it saw Redis away itself
    (`RedisLink.settled`); or for the value's own life, where we alone are cut off, or end with our debts.
    """

    def __init__(
        self, link: RedisLink, *, namespace: str, mark_life_s: float = MARK_LIFE_S, most_owed: int = MOST_OWED
    ) -> None:
        self._link = link
        self._prefix = f"{namespace}:cache"
        self._epoch = f"{self._prefix}:epoch".encode()
        self._mark_life_ms = _ms(mark_life_s)
        self._scripts = {text: link.redis.register_script(text) for text in (LEASE, STORE, MARK, DROP)}
        self._owed: set[str] = set()
        self._owes_all = False
        self._most_owed = most_owed
        self._payer: asyncio.Task[None] | None = None

    async def look(self, key: str) -> Cached:
        """Answer the value, else the lease as its generation."""
        if self._payer is not None:
            return UNKNOWN
        try:
            value = await self._value(key)
            return await self._lease(key) if value is None else Cached(value, None)
        except RedisAway:
            return UNKNOWN

    async def store(self, key: str, value: bytes, *, generation: int, ttl_s: float) -> None:
        """Store under a lease that still stands."""
        if self._payer is None:
            keys = [self._epoch, self._name("lease", key), self._name("value", key)]
            with suppress(RedisAway):
                await self._run(STORE, keys, f"{generation:016x}", value, _ms(ttl_s))

    async def mark(self, keys: Sequence[str]) -> str:
        """Mark for 30 s at most: a writer that dies leaves its keys uncached for that time."""
        mark = secrets.token_hex(8)
        await self._tell(MARK, keys, mark, self._mark_life_ms)
        return mark

    async def drop(self, keys: Sequence[str], mark: str) -> None:
        """End the mark, and forget the keys."""
        await self._tell(DROP, keys, mark)

    async def close(self) -> None:
        """Stop trying to pay what is owed."""
        if self._payer is not None:
            self._payer.cancel()
            await asyncio.wait([self._payer])

    async def _value(self, key: str) -> bytes | None:
        names = [self._name("value", key), self._epoch]
        value, epoch = await self._link.ask(lambda redis: redis.mget(names))
        if isinstance(value, bytes) and isinstance(epoch, bytes) and self._link.settled:
            return value[WORD:] if value.startswith(epoch) else None
        return None

    async def _lease(self, key: str) -> Cached:
        keys = [self._epoch, self._name("lease", key), self._name("marks", key)]
        lease = await self._run(LEASE, keys, secrets.token_hex(8), _ms(LEASE_LIFE_S), _ms(EPOCH_LIFE_S))
        return Cached(None, int(lease[WORD:], 16) if lease else None)

    async def _tell(self, script: str, keys: Sequence[str], *words: str | int) -> None:
        told = False
        try:
            await self._run(script, [name for key in keys for name in self._names(key)], *words)
            told = True
        except RedisAway:
            pass  # the link has logged it
        finally:
            if not told:  # or cancelled half way: nobody knows whether it arrived
                self._owe(keys)

    def _owe(self, keys: Sequence[str]) -> None:
        self._owed.update(keys)
        if len(self._owed) > self._most_owed:
            self._owed.clear()
            self._owes_all = True
        if self._payer is None:
            self._payer = asyncio.create_task(self._pay())

    async def _pay(self) -> None:
        while self._owes_all or self._owed:
            await asyncio.sleep(PAY_EVERY_S)
            with suppress(RedisAway):
                await (self._forget_all() if self._owes_all else self._forget_some())
        self._payer = None

    async def _forget_all(self) -> None:
        # Without an epoch no value and no lease is worth anything; the next miss begins another.
        await self._link.ask(lambda redis: redis.unlink(self._epoch))
        self._owes_all = False

    async def _forget_some(self) -> None:
        batch = list(islice(self._owed, BATCH))
        self._owed.difference_update(batch)  # before: what is owed anew in the meantime stays owed
        await self._tell(DROP, batch, "")

    async def _run(self, script: str, keys: Sequence[bytes], *words: bytes | str | int) -> bytes | None:
        ready: AsyncScript = self._scripts[script]
        answer: bytes | None = await self._link.ask(lambda _: ready(keys=keys, args=words))
        return answer

    def _names(self, key: str) -> tuple[bytes, bytes, bytes]:
        return self._name("value", key), self._name("lease", key), self._name("marks", key)

    def _name(self, kind: str, key: str) -> bytes:
        # Keys carry what people typed; a lone surrogate must not raise here.
        return f"{self._prefix}:{kind}:{key}".encode("utf-8", "surrogatepass")


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))
