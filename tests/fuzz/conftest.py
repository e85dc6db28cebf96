"""Parlor's processes, on which everything is thrown."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fleet import Fleet, a_fleet
from tests.servers.session import shared_url


@pytest.fixture
async def fleet(tmp_path: Path, template: str) -> AsyncIterator[Fleet]:
    """Parlor's processes on the run's shared servers."""
    servers = (shared_url("postgres"), shared_url("redis"), shared_url("rabbitmq"))
    async with a_fleet(*servers, tmp_path, template=template) as fleet:
        yield fleet
