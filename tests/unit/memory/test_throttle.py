"""The throttle in process is bounded: what nobody asked for longest goes first, rule by rule."""

import pytest

from parlor.adapters.memory.throttle import MemoryThrottle
from parlor.core.identity.throttling import Rule
from parlor.core.shared.errors import TooMany

ONCE, OTHER = Rule("once", 1), Rule("other", 1)


async def test_it_keeps_so_many_buckets_a_rule() -> None:
    throttle = MemoryThrottle(capacity=2, monotonic=lambda: 0.0)
    for key in "ab":
        await throttle.take(ONCE, key)
    for key in "wxyz":
        await throttle.take(OTHER, key)
    for key in "ab":
        with pytest.raises(TooMany):
            await throttle.take(ONCE, key)
    await throttle.take(ONCE, "c")
    await throttle.take(ONCE, "a")
    with pytest.raises(TooMany):
        await throttle.take(ONCE, "c")
