"""API keys: checked through their caches, their uses written in batches."""

from parlor.adapters.caching.api_keys import CachedKeyRing, CopiedKeyRing
from parlor.adapters.health import nothing
from parlor.adapters.sql.api_keys import SqlApiKeyViews, SqlKeyRing, SqlKeyUses
from parlor.adapters.sql.engine import Database
from parlor.core.identity.api_keys import ApiKeyViews, KeyRing, KeyUses, KnownKeys
from parlor.core.shared.caching import Cache
from parlor.core.shared.feed import Feed
from parlor.wiring.assembly import Assembly
from parlor.wiring.metrics import show_cache


def wire_api_keys(parts: Assembly, database: Database, ttl_s: float) -> CopiedKeyRing:
    """Put the caches in front of the keys; answers the one that hears of every write."""
    cached = CachedKeyRing(SqlKeyRing(database), parts.get(Cache), ttl_s=ttl_s)
    keys = CopiedKeyRing(cached, parts.get(Feed))
    show_cache(parts.meters, "api_keys", cached.looks)
    show_cache(parts.meters, "api_key_copies", keys.looks)
    uses = SqlKeyUses(database)
    parts.opens(nothing, uses.close)
    parts.add(KeyRing, keys)
    parts.add(KnownKeys, keys)
    parts.add(KeyUses, uses)
    parts.add(ApiKeyViews, SqlApiKeyViews(database))
    return keys
