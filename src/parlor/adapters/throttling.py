"""The throttle of many processes, counted in Redis for all and beside it in each; and what counts its refusals."""

from contextlib import suppress

from parlor.adapters.memory.throttle import MemoryThrottle
from parlor.adapters.redis.client import RedisAway
from parlor.adapters.redis.throttle import RedisThrottle
from parlor.core.identity.throttling import RULES, Rule, Throttle
from parlor.core.shared.errors import TooMany
from parlor.core.shared.meters import Meters


class SharedThrottle:
    """Port Throttle.

    What this process let in itself is counted here too. So it goes on from there while Redis is away, where each
    process counts for itself; a Redis that came back empty opens nothing; and who is far over a limit is refused
    without a question.
    """

    def __init__(self, shared: RedisThrottle, own: MemoryThrottle) -> None:
        self._shared = shared
        self._own = own

    async def take(self, rule: Rule, key: str) -> None:
        """Count one try here and there, or raise TooMany."""
        await self._own.take(rule, key)
        try:
            await self._shared.take(rule, key)
        except RedisAway:
            return
        except TooMany:
            await self._own.give_back(rule, key)
            raise

    async def give_back(self, rule: Rule, key: str) -> None:
        """Take one back here and there."""
        await self._own.give_back(rule, key)
        with suppress(RedisAway):
            await self._shared.give_back(rule, key)


class CountedThrottle:
    """Port Throttle, in front of another."""

    def __init__(self, throttle: Throttle, meters: Meters) -> None:
        self._throttle = throttle
        self._refused = meters.tally(
            "parlor_tries_throttled_total", "Tries that were one too many, by the limit: a 429.", "limit"
        )
        for rule in RULES:
            self._refused.of(rule.name)

    async def take(self, rule: Rule, key: str) -> None:
        """Count one try, or raise TooMany."""
        try:
            await self._throttle.take(rule, key)
        except TooMany:
            self._refused.add(rule.name)
            raise

    async def give_back(self, rule: Rule, key: str) -> None:
        """Take one back."""
        await self._throttle.give_back(rule, key)
