"""Real servers for whoever asks: PostgreSQL as a fresh migrated copy a test, Redis, RabbitMQ."""

import asyncio
import gc
import os
import signal
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import pytest

from parlor.adapters.sql import engine
from parlor.adapters.sql.engine import Database
from parlor.adapters.sql.schema import Schema
from tests.databases import drop, execute
from tests.dealing import dealt
from tests.servers import session
from tests.waiting import PATIENCE_S


def pytest_configure() -> None:
    # A shell that starts a run in the background has Ctrl-C ignored, and what we start would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    session.open_session()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items[:] = dealt(items, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))


def pytest_collection_finish() -> None:
    # What was imported stays: the collector need not walk over it again in every test.
    gc.freeze()


def pytest_unconfigure() -> None:
    session.close_session()


@pytest.fixture(scope="session")
def postgres_url() -> str:
    """Find a server on which databases can be made."""
    return session.shared_url("postgres")


@pytest.fixture(scope="session")
def redis_url() -> str:
    """Find this worker's own part of a Redis."""
    return session.shared_url("redis")


@pytest.fixture(scope="session")
def rabbitmq_url() -> str:
    """Find this worker's own part of a RabbitMQ."""
    return session.shared_url("rabbitmq")


@pytest.fixture(scope="session")
def template(postgres_url: str) -> Iterator[str]:
    """Migrate a database that nobody stays connected to, one a test process; answers its name."""
    name = _new_name()

    async def make() -> None:
        await execute(postgres_url, f"create database {name}")
        await Schema(named(postgres_url, name)).upgrade()

    # In a thread of its own: pytest-asyncio's loops stay as they are.
    with ThreadPoolExecutor(max_workers=1) as other:
        other.submit(asyncio.run, make()).result()
        yield name
        other.submit(asyncio.run, drop(postgres_url, name)).result()


@pytest.fixture
async def database_url(postgres_url: str, template: str) -> AsyncIterator[str]:
    """Lend a migrated database of this test's own."""
    # 14 ms, where the default way through the write-ahead log takes 140.
    async with _one_database(postgres_url, f"template {template} strategy file_copy") as url:
        yield url


@pytest.fixture
async def empty_database_url(postgres_url: str) -> AsyncIterator[str]:
    """Lend a database of this test's own without a table."""
    async with _one_database(postgres_url, "") as url:
        yield url


@pytest.fixture
async def database(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Database]:
    """Open a pool to a migrated database of this test's own; that the machine is busy is no test's failure."""
    monkeypatch.setattr(engine, "ACQUIRE_S", PATIENCE_S)
    monkeypatch.setattr(engine, "CONNECT_S", PATIENCE_S)
    for limit in ("lock_timeout", "statement_timeout"):
        monkeypatch.setitem(engine.LIMITS, limit, f"{PATIENCE_S:.0f}s")
    opened = Database(database_url, size=10, name="tests")
    await opened.open()
    yield opened
    await opened.close()


def named(url: str, database: str) -> str:
    """Name another database of the same server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


@asynccontextmanager
async def _one_database(server_url: str, like: str) -> AsyncIterator[str]:
    name = _new_name()
    await execute(server_url, f"create database {name} {like}")
    try:
        yield named(server_url, name)
    finally:
        await drop(server_url, name)


def _new_name() -> str:
    return f"parlor_test_{uuid4().hex}"
