"""Every adapter of port Cache, opened for a test alone."""

import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

import pytest

from parlor.adapters.memory.cache import MemoryCache
from parlor.adapters.redis.cache import RedisCache
from parlor.adapters.redis.client import RedisLink
from parlor.core.shared.caching import Cache
from tests.waiting import PATIENCE_S

KEY = "user:id:1"
KINDS = ["memory", "redis"]
# Opens a cache that nobody else uses; `mark_life_s` may be given.
Opener = Callable[..., AbstractAsyncContextManager[Cache]]


def opener(request: pytest.FixtureRequest) -> Opener:
    """Choose by the fixture's parameter, one of KINDS."""
    if request.param == "memory":
        return memory_cache
    return partial(redis_cache, request.getfixturevalue("redis_url"))


@asynccontextmanager
async def memory_cache(*, mark_life_s: float = 30.0) -> AsyncIterator[Cache]:
    yield MemoryCache(mark_life_s=mark_life_s)


@asynccontextmanager
async def redis_cache(url: str, *, mark_life_s: float = 30.0) -> AsyncIterator[Cache]:
    link = RedisLink(url, timeout_s=PATIENCE_S)  # a busy machine is no reason for a miss
    cache = RedisCache(link, namespace=f"test-{uuid.uuid4().hex}", mark_life_s=mark_life_s)
    try:
        yield cache
    finally:
        await cache.close()
        await link.close()
