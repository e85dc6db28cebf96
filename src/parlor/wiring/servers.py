"""The database, and what Redis does: on the servers, or in process."""

from parlor.adapters.health import nothing
from parlor.adapters.memory.cache import MemoryCache
from parlor.adapters.memory.feed import MemoryFeed
from parlor.adapters.memory.throttle import MemoryThrottle
from parlor.adapters.redis.cache import RedisCache
from parlor.adapters.redis.client import RedisLink
from parlor.adapters.redis.feed import RedisFeed
from parlor.adapters.redis.throttle import RedisThrottle
from parlor.adapters.sql.capacity import StartingLook
from parlor.adapters.sql.engine import Database
from parlor.adapters.sql.schema import Schema
from parlor.adapters.throttling import CountedThrottle, SharedThrottle
from parlor.adapters.tracing.statements import TracedStatements
from parlor.config import BadSettings, Settings
from parlor.core.identity.throttling import Throttle
from parlor.core.shared.caching import Cache
from parlor.core.shared.feed import Feed
from parlor.wiring.assembly import Assembly
from parlor.wiring.metrics import show_feed
from parlor.wiring.modes import Mode, Role


def wire_database(parts: Assembly, settings: Settings, role: Role) -> Database:
    """Open it at the start, migrated first where that is asked for."""
    if settings.database is None:
        raise BadSettings("set DATABASE_URL first")
    watch = TracedStatements(parts.tracer) if parts.tracer is not None and settings.trace_sql else None
    database = Database(
        settings.database,
        size=settings.database_pool,
        name=f"parlor {role}",
        pgbouncer=settings.pgbouncer,
        watch=watch,
        meters=parts.meters,
    )
    if settings.migrate_on_start:
        parts.opens(Schema(settings.migrated).upgrade, nothing)
    parts.opens(database.open, database.close)
    parts.checks("database", database.ping, needed=True)
    parts.checks("migrations", lambda: Schema.check(database), needed=True)
    if settings.pgbouncer:
        parts.checks("limits", database.check_limits, needed=False)
    else:  # behind PgBouncer a pool says nothing about the server's connections
        look = StartingLook(database, settings.database_pool)
        parts.opens(look.begin, look.end)
    parts.add(Database, database)
    return database


def wire_cache_and_feed(parts: Assembly, settings: Settings, mode: Mode) -> None:
    """Choose where what processes tell each other goes, and where they count tries."""
    if mode is Mode.EMBEDDED:
        _wire_memory(parts, settings)
    else:
        _wire_redis(parts, settings)


def _wire_memory(parts: Assembly, settings: Settings) -> None:
    parts.add(Cache, MemoryCache())
    parts.add(Feed, MemoryFeed())
    parts.add(Throttle, CountedThrottle(MemoryThrottle(scale=settings.throttle_scale), parts.meters))
    parts.checks("redis", nothing, needed=False)
    show_feed(parts.meters, lambda: True)


def _wire_redis(parts: Assembly, settings: Settings) -> None:
    if settings.redis is None:
        raise BadSettings("set REDIS_URL first")
    link = RedisLink(settings.redis)
    feed = RedisFeed(link, namespace=settings.namespace)
    cache = RedisCache(link, namespace=settings.namespace)
    parts.add(Cache, cache)
    parts.add(Feed, feed)
    shared = RedisThrottle(link, namespace=settings.namespace, scale=settings.throttle_scale)
    both = SharedThrottle(shared, MemoryThrottle(scale=settings.throttle_scale))
    parts.add(Throttle, CountedThrottle(both, parts.meters))
    parts.opens(nothing, link.close)
    parts.opens(nothing, cache.close)
    parts.opens(feed.start, feed.close)
    parts.checks("redis", link.ping, needed=False)
    show_feed(parts.meters, lambda: feed.hears)
