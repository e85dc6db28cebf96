"""The broker goes, comes back, cuts connections: what was committed is run, once, and nothing is dead-lettered."""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.faults.gate import Trap, Way, a_gate, half
from tests.faults.score import RESULTS, Score, rounds
from tests.faults.services import a_service, cards, enqueue, permit_http_requests, pile_up
from tests.fleet import Fleet, a_fleet, signed_in
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.session import shared_url
from tests.waiting import eventually

OUTAGE_S = 30.0 if RESULTS in os.environ else 0.0
CUTS = 10
A_BATCH = 200
OURS = b"x-parlor-row"  # stands in every message of ours, whichever way it goes
ACK = b"\x00\x3c\x00\x50"  # basic.ack: the broker's confirm on one way, a worker's settlement on the other
MOMENTS = {
    "messages are published": Trap(Way.TO_SERVER, OURS, half),
    "they are confirmed": Trap(Way.TO_CLIENT, ACK),
    "they are delivered": Trap(Way.TO_CLIENT, OURS, half),
    "their runs are acknowledged": Trap(Way.TO_SERVER, ACK),
}


@pytest.fixture
async def fleet(broker: RabbitMQ, tmp_path: Path, template: str) -> AsyncIterator[Fleet]:
    servers = (shared_url("postgres"), shared_url("redis"), broker.url)
    async with a_fleet(*servers, tmp_path, template=template) as fleet:
        yield fleet


async def test_a_restarted_broker_loses_nothing(
    fleet: Fleet, broker: RabbitMQ, scored: Callable[[Fleet, str], Score]
) -> None:
    async with a_service(lambda: random.uniform(0, 0.2)) as destination:
        await permit_http_requests(fleet, destination)
        api, _ = await fleet.serve(), await fleet.worker()
        score = scored(fleet, "RabbitMQ stopped for 30 s and started again")
        async with signed_in(api.base) as me:
            for _ in range(rounds(2)):
                score.sent += await enqueue(me, destination, 30)
                await asyncio.to_thread(broker.stop)
                score.sent += await enqueue(me, destination, 30)
                await asyncio.sleep(
                    OUTAGE_S
                )  # the outage's own length; `make test` makes it as short as it can
                await asyncio.to_thread(broker.start)
                score.struck()
                score.sent += await enqueue(me, destination, 30)
            assert (await score.settle()).clean
        assert await dead_letters(fleet) == 0


async def test_ten_cut_connections_dead_letter_nothing(
    fleet: Fleet, scored: Callable[[Fleet, str], Score]
) -> None:
    """Each cut returns what the worker holds, and the broker counts returns."""
    score = scored(fleet, "RabbitMQ's connections cut ten times in a row")
    async with a_service(lambda: random.uniform(0, 0.2)) as destination, a_gate(fleet.rabbitmq_url) as gate:
        await permit_http_requests(fleet, destination)
        fleet.settings["RABBITMQ_URL"] = gate.url
        api, worker = await fleet.serve(), await fleet.worker()
        async with signed_in(api.base) as me:
            for _ in range(CUTS * rounds(2)):
                score.sent += await enqueue(me, destination, 10)
                await eventually(worker.ready)
                gate.cut()
                score.struck()
            assert (await score.settle()).clean
        assert await dead_letters(fleet) == 0


async def test_a_connection_cut_in_the_middle_of_a_batch_loses_nothing(
    fleet: Fleet, scored: Callable[[Fleet, str], Score]
) -> None:
    """Of what is published, confirmed, delivered or acknowledged together, half has passed, or none."""
    score = scored(fleet, "RabbitMQ's connection cut in the middle of a batch")
    async with a_gate(fleet.rabbitmq_url) as gate:
        fleet.settings["RABBITMQ_URL"] = gate.url
        await fleet.worker()
        for moment in [*MOMENTS.values()] * rounds(5):
            trap = gate.set(Trap(moment.way, moment.mark, moment.passes))
            score.sent += await pile_up(fleet, cards(A_BATCH))
            await trap.sprung.wait()
            score.struck()
        assert (await score.settle()).clean
        assert await dead_letters(fleet) == 0


async def dead_letters(fleet: Fleet) -> int:
    async with fleet.database() as database:
        return int(await database.fetchval("select count(*) from dead_letters"))
