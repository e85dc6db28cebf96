"""The servers that all other tests rely on: real, separate, gone afterwards."""

import asyncio
import os
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import aio_pika
import asyncpg
import pytest
import redis.asyncio as redis

from tests.servers import (
    KINDS,
    Postgres,
    RabbitMQ,
    Redis,
    Server,
    postgres as pg,
    rabbitmq as rabbit,
    redis as redis_server,
)
from tests.servers.processes import descendants, is_listening, port_of, wait_until


async def ask_postgres(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("select 1")
    await connection.close()


async def ask_redis(url: str) -> None:
    client = redis.Redis.from_url(url)
    await client.get("anything")
    await client.aclose()


async def ask_rabbitmq(url: str) -> None:
    await (await aio_pika.connect(url)).close()


ASK: dict[str, Callable[[str], Awaitable[None]]] = {
    "postgres": ask_postgres,
    "redis": ask_redis,
    "rabbitmq": ask_rabbitmq,
}


READY = {"postgres": pg._is_ready, "redis": redis_server._is_ready, "rabbitmq": rabbit._is_ready}


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[tuple[str, Server]]:
    with KINDS[request.param]() as server:
        yield request.param, server


async def test_a_server_comes_back_on_its_port_after_a_stop(server: tuple[str, Server]) -> None:
    """Clients of a fault test keep their URL."""
    kind, running = server
    url = running.url
    await ASK[kind](url)
    running.stop()
    assert not is_listening(url)
    running.start()
    await ASK[kind](url)
    assert running.url == url


async def test_a_server_comes_back_on_its_port_after_a_crash(server: tuple[str, Server]) -> None:
    """Nothing that a killed server leaves behind is in its own way."""
    kind, running = server
    url = running.url
    running.kill()
    assert not is_listening(url)
    running.start()
    await ASK[kind](url)
    assert running.url == url


async def test_a_paused_server_answers_nobody_until_it_is_resumed(server: tuple[str, Server]) -> None:
    """It can still be connected to: that is the fault that timeouts are for."""
    kind, running = server
    running.pause()
    assert is_listening(running.url)
    assert not READY[kind](port_of(running.url))
    running.resume()
    await ASK[kind](running.url)


async def test_a_paused_postgresql_pauses_its_sessions_too() -> None:
    """A connection made before hangs as a new one does."""
    with Postgres() as postgres:
        connection = await asyncpg.connect(postgres.url)
        session_pid = await connection.fetchval("select pg_backend_pid()")
        postgres.pause()
        assert state_of(session_pid) == "T"
        postgres.resume()
        assert await connection.fetchval("select 1") == 1
        await connection.close()


async def test_the_test_database_is_used_as_the_service_uses_its_own() -> None:
    """The role is no superuser; what needs one has a URL of its own."""
    with Postgres() as postgres:
        for url, expected in ((postgres.url, "off"), (postgres.superuser_url, "on")):
            connection = await asyncpg.connect(url)
            assert await connection.fetchval("show is_superuser") == expected
            await connection.close()


async def test_a_throwaway_rabbitmq_lives_beside_another_and_keeps_its_queues() -> None:
    """Its restart loses no durable message, and the other one does not notice."""
    with RabbitMQ() as kept, RabbitMQ() as other:
        bystander = await aio_pika.connect(other.url)
        async with await aio_pika.connect(kept.url) as connection:
            channel = await connection.channel()
            queue = await channel.declare_queue("kept", durable=True)
            message = aio_pika.Message(b"still here", delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
            await channel.default_exchange.publish(message, routing_key=queue.name)
        await asyncio.to_thread(kept.restart)
        async with await aio_pika.connect(kept.url) as connection:
            channel = await connection.channel()
            queue = await channel.get_queue("kept")
            assert (await queue.get(no_ack=True)).body == b"still here"
        assert not bystander.is_closed
        await bystander.close()
        assert "kept" not in other.ctl("list_queues", "name")


async def test_a_rabbitmq_closes_its_connections_and_divides_itself() -> None:
    """What fault tests do to it, and what parallel workers need of it."""
    with RabbitMQ() as rabbitmq:
        rabbitmq.add_vhosts(["gw0", "gw1"])
        connection = await aio_pika.connect(f"{rabbitmq.url}/gw1")
        closed = asyncio.Event()
        connection.close_callbacks.add(lambda *_: closed.set())
        rabbitmq.close_connections()
        await closed.wait()


def test_a_closed_server_leaves_neither_processes_nor_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even the list of Erlang nodes that a RabbitMQ has beside it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = set(descendants(os.getpid()))
    with RabbitMQ(), Redis(), Postgres():
        ours = set(descendants(os.getpid())) - before
        assert len(list(tmp_path.iterdir())) == 3
    wait_until(lambda: not ours & set(descendants(os.getpid())), what="the end of all processes")
    assert not list(tmp_path.iterdir())
