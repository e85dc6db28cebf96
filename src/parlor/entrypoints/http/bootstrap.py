"""The API key that is there from the start: made before anything is served, or as soon as there is a database."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from parlor.container import Container
from parlor.core.identity.api_keys import PrefixTaken
from parlor.core.identity.api_keys_use_cases import KeepBootstrapKey

log = structlog.get_logger()

AGAIN_EVERY_S = 1.0


@asynccontextmanager
async def bootstrap_key(container: Container) -> AsyncIterator[None]:
    """Keep the key that `PARLOR_BOOTSTRAP_API_KEY` names while this process serves."""
    if container.settings.bootstrap is None or await _kept(container, *container.settings.bootstrap):
        yield
        return
    trying = asyncio.create_task(_keep_trying(container, *container.settings.bootstrap))
    try:
        yield
    finally:
        trying.cancel()
        await asyncio.gather(trying, return_exceptions=True)


async def _keep_trying(container: Container, shown: str, scopes: frozenset[str]) -> None:
    while not await _kept(container, shown, scopes):  # noqa: ASYNC110 - nobody tells when a database is back
        await asyncio.sleep(AGAIN_EVERY_S)


async def _kept(container: Container, shown: str, scopes: frozenset[str]) -> bool:
    """Make it, unless it is there. Answers False where it is worth another try."""
    try:
        key = await container.command(KeepBootstrapKey)(shown, scopes)
    except PrefixTaken:
        log.warning("bootstrap_key_refused", why="PARLOR_BOOTSTRAP_API_KEY: another key has its prefix")
        return True
    except Exception as error:  # noqa: BLE001 - no database, no tables: whatever it is, the process serves without
        log.warning("bootstrap_key_waits", error=type(error).__name__)
        return False
    if key.revoked_at is not None:
        log.warning("bootstrap_key_revoked", key=str(key.id))
    return True
