"""A broker that is short of disk or memory takes no message: the outbox keeps all of them, and the API answers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest

from tests.faults.score import Score, rounds
from tests.faults.services import order_cards
from tests.fleet import Fleet, Process, a_fleet, signed_in
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.session import shared_url
from tests.waiting import eventually

TASKS_A_ROUND = 40
ALARMS = [
    (("set_disk_free_limit", "1000000GB"), ("set_disk_free_limit", "1MB")),
    (("set_vm_memory_high_watermark", "absolute", "1"), ("set_vm_memory_high_watermark", "0.4")),
]


@pytest.fixture
async def fleet(broker: RabbitMQ, tmp_path: Path, template: str) -> AsyncIterator[Fleet]:
    servers = (shared_url("postgres"), shared_url("redis"), broker.url)
    async with a_fleet(*servers, tmp_path, template=template) as fleet:
        yield fleet


async def test_a_full_broker_delays_tasks_and_loses_none(
    fleet: Fleet, broker: RabbitMQ, scored: Callable[[Fleet, str], Score]
) -> None:
    api, relay = await fleet.serve(), await fleet.relay()
    await fleet.worker("--no-relay")
    score = scored(fleet, "RabbitMQ out of disk, and out of memory")
    async with signed_in(api.base) as me, fleet.database() as database:
        for full, free in ALARMS * rounds(3):
            await asyncio.to_thread(broker.ctl, *full)
            try:
                # The broker blocks a connection when it next publishes.
                score.sent += await order_cards(me, TASKS_A_ROUND)
                await eventually(lambda: is_blocked(relay))
                kept = await order_cards(me, TASKS_A_ROUND)
                score.sent += kept
                waiting = await database.fetch("select task_id from task_outbox")
                assert set(kept) <= {str(row["task_id"]) for row in waiting}
            finally:
                await asyncio.to_thread(broker.ctl, *free)
            score.struck()
            await eventually(lambda: database.fetchval("select not exists (select from task_outbox)"))
        assert (await score.settle()).clean


async def is_blocked(relay: Process) -> bool:
    async with httpx.AsyncClient(trust_env=False) as client:
        return bool((await client.get(f"{relay.base}/readyz")).json()["status"] != "ready")
