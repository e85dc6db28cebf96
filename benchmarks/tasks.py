"""Tasks beside a consumer that is written by hand."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime

from benchmarks.plan import Plan
from benchmarks.stage import PARLOR, PYTHON, Child, Stage
from benchmarks.table import CPU, Measured, Operation, Row
from benchmarks.yard import DEFAULT_QUEUE, FLOOR_QUEUE, Yard, a_yard

BY_HAND = "aio-pika and asyncpg by hand"
OUTBOX = Operation("tasks from the outbox, one process", BY_HAND, "tasks/s", 1.5)
RELAY = Operation("tasks from the outbox, relay apart", BY_HAND, "tasks/s", 1.7)
FOREIGN = Operation("tasks of foreign producers", BY_HAND, "tasks/s", 3.0)
ENQUEUE = Operation("orders, a transaction each", BY_HAND, "tasks/s", 1.0)
OPERATIONS = (OUTBOX, RELAY, FOREIGN, ENQUEUE)
# The first tenth of what was published beforehand runs while a process is still warming up.
WARM = 0.1

# What operators are told to set for short tasks: the floor takes 100 messages at once, and the peers up to 128.
FOR_SHORT_TASKS = {"PARLOR_PREFETCH": "64,250,8"}

BY_HAND_PROCESS = (*PYTHON, "benchmarks.floor_consumer", FLOOR_QUEUE)

Measure = Callable[[Yard, Plan], Awaitable[Measured]]


async def measure(stage: Stage, plan: Plan) -> list[Row]:
    """Take turns: each round has the floor at both its ends, and ours between them."""
    rows = {operation: Row(operation) for operation in OPERATIONS}
    async with a_yard(stage) as yard:
        for number in range(plan.rounds):
            before = await _floor(yard, plan)
            found = await _ours(yard, plan, rows, backwards=number % 2 == 1)
            beside = _mean(before, await _floor(yard, plan))
            for operation, measured in found.items():
                rows[operation].add(beside, measured)
    return list(rows.values())


async def _ours(
    yard: Yard, plan: Plan, rows: dict[Operation, Row], *, backwards: bool
) -> dict[Operation, Measured]:
    measures: dict[Operation, Measure] = {
        OUTBOX: _outbox,
        RELAY: _relay_apart,
        FOREIGN: _foreign,
        ENQUEUE: _enqueue,
    }
    found: dict[Operation, Measured] = {}
    for operation in reversed(measures) if backwards else measures:
        with rows[operation].failing():
            found[operation] = await measures[operation](yard, plan)
    return found


async def _floor(yard: Yard, plan: Plan) -> Measured:
    await yard.clear()
    await yard.publish(plan.tasks, exchange="", key=FLOOR_QUEUE)
    async with yard.stage.child(*BY_HAND_PROCESS) as child:
        await child.says("ready")
        return await _draining(yard, plan, "floor_results", child, warm=WARM)


async def _outbox(yard: Yard, plan: Plan) -> Measured:
    async with a_worker(yard) as child:
        return await _from_outbox(yard, plan, child)


async def _relay_apart(yard: Yard, plan: Plan) -> Measured:
    async with yard.stage.child(PARLOR, "relay") as relay, a_worker(yard, "--no-relay") as child:
        await relay.says("worker_ready")
        return await _from_outbox(yard, plan, child, relay)


async def _from_outbox(yard: Yard, plan: Plan, *running: Child) -> Measured:
    """Give everything at once to a worker that is warm; it counts from the commit."""
    few = max(1, plan.tasks // 20)
    await yard.clear()
    await yard.order(few)
    await yard.drained("tasks", few)
    await yard.clear()
    since = await yard.order(plan.tasks)
    return await _draining(yard, plan, "tasks", *running, since=since)


async def _foreign(yard: Yard, plan: Plan) -> Measured:
    await yard.clear()
    await yard.publish(plan.tasks, exchange="parlor.tasks", key="default")
    async with a_worker(yard) as child:
        return await _draining(yard, plan, "tasks", child, warm=WARM)


async def _draining(
    yard: Yard, plan: Plan, table: str, *running: Child, since: datetime | None = None, warm: float = 0.0
) -> Measured:
    used_s = sum(child.cpu_s() for child in running)
    rate = await yard.drained(table, plan.tasks, since=since, warm=warm)
    used_s = sum(child.cpu_s() for child in running) - used_s
    return Measured(rate, {CPU: 1e6 * used_s / plan.tasks})


async def _enqueue(yard: Yard, plan: Plan) -> Measured:
    await yard.clear()
    warm = ("--warm", str(int(plan.tasks * WARM)))
    told = json.loads(await yard.stage.run(*PYTHON, "benchmarks.enqueue", str(plan.tasks), *warm))
    return Measured(plan.tasks / (told["ended"] - told["began"]), {CPU: told["cpu_us"]})


@asynccontextmanager
async def a_worker(yard: Yard, *options: str) -> AsyncIterator[Child]:
    """Run a worker that is ready to consume."""
    async with yard.stage.child(*PYTHON, "benchmarks.worker", *options, **FOR_SHORT_TASKS) as child:
        await child.says("worker_ready")
        await yard.consumed(DEFAULT_QUEUE)
        yield child


def _mean(one: Measured, other: Measured) -> Measured:
    names = one.details.keys() & other.details.keys()
    details = {name: (one.details[name] + other.details[name]) / 2 for name in names}
    return Measured((one.figure + other.figure) / 2, details)
