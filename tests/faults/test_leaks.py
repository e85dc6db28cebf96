"""Connections that are cut again and again leave nothing behind: no connection, channel, file or asyncio task."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from redis.asyncio import Redis as RedisClient

from parlor.config import Settings
from parlor.container import make_container
from parlor.entrypoints.consume_worker.main import running
from parlor.wiring.modes import Mode, Role
from tests.faults.gate import Gate, a_gate
from tests.faults.score import ROUNDS, Score
from tests.faults.services import cards, order_cards, pile_up
from tests.fleet import Fleet, Process, a_fleet, signed_in
from tests.servers import Postgres, RabbitMQ, Redis
from tests.waiting import eventually

CUTS = 5 if ROUNDS == 1 else min(ROUNDS * 5, 50)  # `make test` and `make faults`
RESTARTS = 2 if ROUNDS == 1 else min(ROUNDS, 15)
TASKS_A_CUT = 5
AT_ONCE = 30  # more than any pool has connections
UNPOOLED = {"connections", "channels"}
BACKENDS = """
select count(*) from pg_stat_activity
 where datname = current_database() and application_name like 'parlor %'"""


@dataclass(frozen=True)
class Gates:
    """The ways of one fleet to its servers, each of which can be cut."""

    postgres: Gate
    redis: Gate
    rabbitmq: Gate


@pytest.fixture
async def fleet(postgres: Postgres, redis: Redis, broker: RabbitMQ, tmp_path: Path) -> AsyncIterator[Fleet]:
    async with a_fleet(postgres.url, redis.url, broker.url, tmp_path) as fleet:
        yield fleet


@pytest.fixture
async def gates(fleet: Fleet) -> AsyncIterator[Gates]:
    """Lead every process that is started from now on through gates."""
    servers = (fleet.database_url, fleet.redis_url, fleet.rabbitmq_url)
    async with AsyncExitStack() as open_gates:
        gates = [await open_gates.enter_async_context(a_gate(server)) for server in servers]
        names = ("DATABASE_URL", "REDIS_URL", "RABBITMQ_URL")
        fleet.settings |= {name: gate.url for name, gate in zip(names, gates, strict=True)}
        yield Gates(*gates)


@pytest.mark.parametrize("server", ["postgres", "redis", "rabbitmq"])
async def test_a_process_holds_as_much_after_many_cuts_as_before(
    fleet: Fleet, gates: Gates, broker: RabbitMQ, server: str, scored: Callable[[Fleet, str], Score]
) -> None:
    gate: Gate = getattr(gates, server)

    async def cut() -> None:
        gate.cut()

    score = scored(fleet, f"the connections to {server} cut again and again")
    await holds_no_more(fleet, broker, score, cut, times=CUTS)


async def test_a_process_holds_as_much_after_many_restarts_of_the_broker_as_before(
    fleet: Fleet, broker: RabbitMQ, scored: Callable[[Fleet, str], Score]
) -> None:
    async def restart() -> None:
        await asyncio.to_thread(broker.restart)

    score = scored(fleet, "RabbitMQ restarted again and again")
    await holds_no_more(fleet, broker, score, restart, times=RESTARTS)


async def holds_no_more(
    fleet: Fleet, broker: RabbitMQ, score: Score, strike: Callable[[], Awaitable[None]], *, times: int
) -> None:
    """Strike under load, so many times; then all has ended once, and nothing is held that was not before."""
    fleet.settings["PARLOR_DATABASE_POOL"] = "2"
    api, worker = await fleet.serve(), await fleet.worker()
    async with signed_in(api.base) as me:
        score.sent += await pools_filled(me)
        await eventually(lambda: is_idle(fleet))
        before = await holdings(fleet, broker, api, worker)
        for _ in range(times):
            await strike()
            score.struck()
            score.sent += await order_cards(me, TASKS_A_CUT)
        assert (await score.settle()).clean
        await eventually(lambda: no_more(fleet, broker, (api, worker), before), within=60)


async def test_a_worker_has_as_many_asyncio_tasks_after_many_cuts_as_before(
    fleet: Fleet, gates: Gates
) -> None:
    """It runs in this very process, where they can be counted."""
    container = make_container(settings_of(fleet), mode=Mode.SERVICES, role=Role.WORKER)
    await container.start()
    try:
        async with running(container, consume=True, relay=True, timers=True):
            await eventually(lambda: all_up(container.parts))
            await pile_up(fleet, cards(TASKS_A_CUT))
            await eventually(lambda: is_idle(fleet))
            before = asyncio_tasks()
            for number in range(CUTS):
                (gates.postgres, gates.redis, gates.rabbitmq)[number % 3].cut()
                await pile_up(fleet, cards(TASKS_A_CUT))
                await eventually(lambda: is_idle(fleet))
            await eventually(lambda: all_up(container.parts))
            # Not `==`: a hint that was just being sent when they were counted is gone by now.
            await eventually(lambda: not asyncio_tasks() - before)
    finally:
        await container.close()


def settings_of(fleet: Fleet) -> Settings:
    return Settings(_env_file=None, **fleet.environment)  # type: ignore[arg-type]  # settings by name


async def pools_filled(me: httpx.AsyncClient) -> list[str]:
    """Have so many requests at once that no pool will ever be larger."""
    ordering = [order_cards(me, 1) for _ in range(AT_ONCE)]
    return [one for ids in await asyncio.gather(*ordering) for one in ids]


async def is_idle(fleet: Fleet) -> bool:
    async with fleet.database() as database:
        return bool(
            await database.fetchval(
                """select not exists (select from tasks where finished_at is null)
                      and not exists (select from task_outbox) and not exists (select from event_outbox)"""
            )
        )


async def holdings(fleet: Fleet, broker: RabbitMQ, *processes: Process) -> Mapping[str, int]:
    """Count what the servers and the kernel know of the fleet's processes."""
    listed = [
        await asyncio.to_thread(broker.ctl, what, "pid") for what in ("list_connections", "list_channels")
    ]
    connections, channels = (one.count("<") for one in listed)
    async with fleet.database() as database, RedisClient.from_url(fleet.redis_url) as redis:
        backends, clients = await database.fetchval(BACKENDS), len(await redis.client_list())
    files = {f"files {number}": open_files(one) for number, one in enumerate(processes)}
    return {
        "connections": connections,
        "channels": channels,
        "backends": backends,
        "clients": clients,
        **files,
    }


async def no_more(
    fleet: Fleet, broker: RabbitMQ, processes: tuple[Process, ...], before: Mapping[str, int]
) -> bool:
    """Compare. A pool may have grown in the meantime, but what leaks grows with every cut."""
    after = await holdings(fleet, broker, *processes)
    grown = {what: after[what] - count for what, count in before.items()}
    return all(growth <= (0 if what in UNPOOLED else CUTS // 2) for what, growth in grown.items())


def open_files(process: Process) -> int:
    return len(list(Path(f"/proc/{process.child.pid}/fd").iterdir()))


def asyncio_tasks() -> Counter[str]:
    """Count the running tasks by what they run, without those of the gates."""
    names = (getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks())
    return Counter(name for name in names if not name.startswith("Gate."))


async def all_up(parts: Callable[[], Awaitable[Mapping[str, object]]]) -> bool:
    return all(getattr(part, "status", "") == "up" for part in (await parts()).values())
