"""The throttle of a process that is alone."""

import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable

from parlor.core.identity.throttling import Bucket, Rule, bucket_key, whole_seconds
from parlor.core.shared.errors import TooMany

CAPACITY = 20_000


class MemoryThrottle:
    """Port Throttle. Keeps `capacity` buckets a rule, the least recently used go first; `scale` multiplies each."""

    def __init__(
        self,
        *,
        scale: float = 1.0,
        capacity: int = CAPACITY,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._scale = scale
        self._capacity = capacity
        self._monotonic = monotonic
        self._buckets: defaultdict[str, OrderedDict[str, Bucket]] = defaultdict(OrderedDict)

    async def take(self, rule: Rule, key: str) -> None:
        """Count one try, or raise TooMany."""
        buckets, name = self._buckets[rule.name], bucket_key(rule, key)
        taken, wait_s = buckets.get(name, Bucket()).take(rule.scaled(self._scale), self._monotonic())
        if wait_s:
            raise TooMany(retry_after=whole_seconds(wait_s))
        buckets[name] = taken
        buckets.move_to_end(name)
        if len(buckets) > self._capacity:
            buckets.popitem(last=False)

    async def give_back(self, rule: Rule, key: str) -> None:
        """Take one back, where it is still known."""
        buckets, name = self._buckets[rule.name], bucket_key(rule, key)
        if name in buckets:
            buckets[name] = buckets[name].give_back(rule)
