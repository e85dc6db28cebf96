"""Parlor's processes on the run's shared servers, and servers of these tests' own, to be taken away."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.faults.score import Score
from tests.fleet import Fleet, a_fleet
from tests.servers import Postgres, RabbitMQ, Redis
from tests.servers.session import shared_url


@pytest.fixture
async def fleet(tmp_path: Path, template: str) -> AsyncIterator[Fleet]:
    """Parlor's processes on the run's shared servers."""
    servers = (shared_url("postgres"), shared_url("redis"), shared_url("rabbitmq"))
    async with a_fleet(*servers, tmp_path, template=template) as fleet:
        yield fleet


@pytest.fixture(scope="session")
def broker() -> Iterator[RabbitMQ]:
    """A broker that only these tests take away."""
    with RabbitMQ() as broker:
        yield broker


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL that only these tests take away."""
    with Postgres() as postgres:
        yield postgres


@pytest.fixture(scope="session")
def redis() -> Iterator[Redis]:
    """A Redis that only these tests take away."""
    with Redis() as redis:
        yield redis


@pytest.fixture
def scored() -> Iterator[Callable[[Fleet, str], Score]]:
    """Follow the tasks of a scenario under the name that its line in the table bears."""
    with ExitStack() as following:
        yield lambda fleet, fault: following.enter_context(closing(Score(fleet, fault)))
