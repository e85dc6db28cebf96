"""The throttle in process is bounded: what nobody asked for longest goes first, rule by rule."""

import pytest

from parlor.adapters.memory.throttle import MemoryThrottle
from parlor.adapters.throttling import CountedThrottle
from parlor.core.identity.throttling import Rule
from parlor.core.shared.errors import TooMany
from parlor.core.shared.meters import Meters

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


async def test_what_is_refused_is_counted_by_its_limit() -> None:
    meters = Meters()
    throttle = CountedThrottle(MemoryThrottle(monotonic=lambda: 0.0), meters)
    await throttle.take(ONCE, "a")
    with pytest.raises(TooMany):
        await throttle.take(ONCE, "a")
    await throttle.give_back(ONCE, "a")
    await throttle.take(ONCE, "a")
    refused = meters.tally("parlor_tries_throttled_total", "", "limit").readings()
    assert {limit for limit, times in refused.items() if times} == {("once",)}
    assert refused["login-account",] == 0
