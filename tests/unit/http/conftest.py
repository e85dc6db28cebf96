"""An application over a fake container, and a client of it."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.fakes.container import SIGNED_IN, FakeContainer, a_client, settings_for_tests


@pytest.fixture
def fake() -> FakeContainer:
    return FakeContainer(settings_for_tests(PARLOR_MAX_BODY_BYTES=4096))


@pytest.fixture
async def client(fake: FakeContainer) -> AsyncIterator[httpx.AsyncClient]:
    """Sign nobody in."""
    async with a_client(fake) as client:
        yield client


@pytest.fixture
async def ada(fake: FakeContainer) -> AsyncIterator[httpx.AsyncClient]:
    """Sign a user in."""
    async with a_client(fake, **SIGNED_IN) as client:
        yield client
