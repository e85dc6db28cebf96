"""The broker goes, comes back, cuts connections: what was committed is run, once, and nothing is dead-lettered."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.faults.services import a_service, enqueue, permit_http_requests
from tests.fleet import Fleet, a_fleet, signed_in
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.session import shared_url
from tests.waiting import eventually


@pytest.fixture(scope="module")
def broker() -> Iterator[RabbitMQ]:
    """A broker that only these tests take away."""
    with RabbitMQ() as broker:
        yield broker


@pytest.fixture
async def fleet(broker: RabbitMQ, tmp_path: Path) -> AsyncIterator[Fleet]:
    servers = (shared_url("postgres"), shared_url("redis"), broker.url)
    async with a_fleet(*servers, tmp_path) as fleet:
        yield fleet


async def test_a_restarted_broker_loses_nothing(fleet: Fleet, broker: RabbitMQ) -> None:
    async with a_service(lambda: random.uniform(0, 0.2)) as destination:
        await permit_http_requests(fleet, destination)
        api, _ = await fleet.serve(), await fleet.worker()
        async with signed_in(api.base) as me, fleet.database() as database:
            sent = await enqueue(me, destination, 30)
            await asyncio.to_thread(broker.stop)
            sent += await enqueue(me, destination, 30)
            await asyncio.to_thread(broker.start)
            sent += await enqueue(me, destination, 30)
            done = "select count(*) = $1 from tasks where status = 'succeeded' and attempts = 1"
            await eventually(lambda: database.fetchval(done, len(sent)), within=90)
            assert await database.fetchval("select count(*) from dead_letters") == 0


async def test_ten_cut_connections_dead_letter_nothing(fleet: Fleet, broker: RabbitMQ) -> None:
    async with a_service(lambda: random.uniform(0, 0.2)) as destination:
        await permit_http_requests(fleet, destination)
        api, _ = await fleet.serve(), await fleet.worker()
        async with signed_in(api.base) as me, fleet.database() as database:
            sent: list[str] = []
            for _ in range(10):
                sent += await enqueue(me, destination, 10)
                await asyncio.to_thread(broker.close_connections)
            done = "select count(*) = $1 from tasks where status = 'succeeded' and attempts = 1"
            await eventually(lambda: database.fetchval(done, len(sent)), within=90)
            assert await database.fetchval("select count(*) from dead_letters") == 0
