"""The way to Redis: bounded in time and in connections, and not taken while Redis is away."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from redis.asyncio import BlockingConnectionPool, Connection, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

log = structlog.get_logger()

TIMEOUT_S = 0.2
RETRY_S = 1.0
# What Redis was not told while it was away, every process tells it within RETRY_S of its return, and a bit.
SETTLED_S = 2 * RETRY_S
CONNECTIONS = 32

AnswerT = TypeVar("AnswerT")
Monotonic = Callable[[], float]


class RedisAway(Exception):
    """Redis refused or did not answer in time, or is left alone for a second after it did so."""


class SeldomLog:
    """Warnings, at most one a second; each says how many were left out before it."""

    def __init__(self, monotonic: Monotonic = time.monotonic) -> None:
        self._monotonic = monotonic
        self._next = -math.inf
        self._left_out = 0

    def warning(self, event: str, error: BaseException) -> None:
        """Log the kind and the words of an error, or count it."""
        now = self._monotonic()
        if now < self._next:
            self._left_out += 1
            return
        log.warning(event, error=f"{type(error).__name__}: {error}", left_out=self._left_out)
        self._next, self._left_out = now + 1.0, 0


class RedisLink:
    """One Redis, which has 0.2 s to answer. After a failure nobody asks for 1 s, and then one does for all."""

    def __init__(
        self,
        url: str,
        *,
        connections: int = CONNECTIONS,
        timeout_s: float = TIMEOUT_S,
        monotonic: Monotonic = time.monotonic,
    ) -> None:
        self._pool = _pool(url, connections, timeout_s)
        self.redis = Redis(connection_pool=self._pool)
        self._timeout_s = timeout_s
        self._monotonic = monotonic
        self._log = SeldomLog(monotonic)
        self._away = False
        self._silent_until = -math.inf
        self._back_since = -math.inf

    @property
    def settled(self) -> bool:
        """Whether Redis is back for 2 s: the other processes have told it what they could not before."""
        return not self._away and self._monotonic() >= self._back_since + SETTLED_S

    async def ask(self, question: Callable[[Redis], Awaitable[AnswerT]]) -> AnswerT:
        """Put one question. Raises RedisAway when the time is up; at once while Redis is left alone."""
        self._pass()
        try:
            # One deadline for waiting, connecting and answering: the client's own are one for each step.
            async with asyncio.timeout(self._timeout_s):
                answer = await question(self.redis)
        except (RedisError, OSError) as error:
            self._failed(error)
            raise RedisAway from error
        self._answered()
        return answer

    async def ping(self) -> None:
        """Raise RedisAway unless Redis answers."""
        await self.ask(lambda redis: redis.ping())

    def connection(self) -> Connection:
        """Make a connection outside the pool, for whoever listens on it."""
        made: Connection = self._pool.make_connection()  # type: ignore[no-untyped-call]  # redis-py's own gap
        return made

    async def close(self) -> None:
        """Close every connection of the pool."""
        await self._pool.aclose()

    def _pass(self) -> None:
        now = self._monotonic()
        if now < self._silent_until:
            raise RedisAway
        if self._away:
            self._silent_until = now + RETRY_S

    def _failed(self, error: Exception) -> None:
        self._away = True
        self._silent_until = self._monotonic() + RETRY_S
        self._log.warning("redis_away", error)

    def _answered(self) -> None:
        if self._away:
            self._away = False
            self._silent_until = -math.inf
            self._back_since = self._monotonic()
            log.info("redis_back")


def _pool(url: str, connections: int, timeout_s: float) -> BlockingConnectionPool:
    return BlockingConnectionPool.from_url(
        url,
        max_connections=connections,
        timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        socket_timeout=None,  # `ask` has the deadline; with this one every command would cost a task more
        retry=Retry(NoBackoff(), 1),  # a connection that died in the pool is no reason to call Redis away
        protocol=2,  # the third brings nothing here but a longer greeting
        driver_info=None,
        client_name="parlor",
    )
