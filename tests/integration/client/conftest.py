from collections.abc import AsyncIterator

import pytest

from parlor.client import Parlor, Realtime
from tests.live import a_parlor
from tests.scripted import Scripted, a_scripted_server


@pytest.fixture
async def server() -> AsyncIterator[Scripted]:
    """Serve what the test says."""
    async with a_scripted_server() as scripted:
        yield scripted


@pytest.fixture
async def parlor(server: Scripted) -> AsyncIterator[Parlor]:
    """Lend a client with a session."""
    async with a_parlor(server.base) as parlor:
        yield parlor


@pytest.fixture
async def live(parlor: Parlor) -> AsyncIterator[Realtime]:
    """Lend a connection that stays."""
    async with parlor.realtime() as live:
        yield live
