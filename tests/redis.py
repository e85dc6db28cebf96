"""What one process of Parlor has of a Redis, for tests that take it away."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from parlor.adapters.redis.cache import RedisCache
from parlor.adapters.redis.client import RedisLink
from parlor.adapters.redis.feed import RedisFeed
from parlor.core.shared.caching import Cached
from tests.servers import Redis

NAMESPACE = "away"
TIMEOUT_S = 1.0  # a busy machine may need more than 0.2 s to answer
UNKNOWN = Cached(value=None, generation=None)


@dataclass
class Process:
    """What one process of Parlor has of Redis."""

    link: RedisLink
    cache: RedisCache
    feed: RedisFeed

    async def fill(self, key: str, value: bytes) -> None:
        generation = (await self.cache.look(key)).generation
        assert generation is not None
        await self.cache.store(key, value, generation=generation, ttl_s=60)
        assert (await self.cache.look(key)).value == value

    async def can_fill(self) -> bool:
        return (await self.cache.look(uuid.uuid4().hex)).generation is not None


@asynccontextmanager
async def process(server: Redis, *, most_owed: int = 10_000, connections: int = 8) -> AsyncIterator[Process]:
    link = RedisLink(server.url, connections=connections, timeout_s=TIMEOUT_S)
    cache = RedisCache(link, namespace=NAMESPACE, most_owed=most_owed)
    feed = RedisFeed(link, namespace=NAMESPACE)
    await feed.start()
    try:
        yield Process(link, cache, feed)
    finally:
        await feed.close()
        await cache.close()
        await link.close()
