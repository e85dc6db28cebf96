"""Ours and the peers beside the same floor: from the first enqueue to the last result, and how long one takes."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from benchmarks import apart
from benchmarks.contenders import BY_HAND, FLOOR, OURS, PARLOR, PEERS, Contender, dated
from benchmarks.percentiles import percentile
from benchmarks.plan import Plan
from benchmarks.stage import PATIENCE_S, Child, Stage
from benchmarks.stored import Results, results_of
from benchmarks.table import CPU, Measured, Operation, Row
from benchmarks.yard import Yard, a_yard

WARM = 0.05


@dataclass(frozen=True, slots=True)
class Pair:
    """What is told of one contender."""

    speed: Row
    delay: Row


async def measure(stage: Stage, plan: Plan) -> list[Row]:
    """Take turns: each round begins with the floor, and goes through all the others, every second one backwards."""
    contenders = list(OURS)
    absent: list[Row] = []
    if plan.peers:
        try:
            contenders += await _peers()
        except RuntimeError as error:
            absent.append(Row(Operation("the peers", BY_HAND, "tasks/s"), failures=[str(error)]))
    pairs = {contender: _pair(contender) for contender in contenders}
    async with a_yard(stage) as yard:
        for number in range(plan.rounds):
            floor = await _run(yard, plan, FLOOR)
            for contender in contenders[:: 1 if number % 2 == 0 else -1]:
                pair = pairs[contender]
                with pair.speed.failing():
                    speed, delay = await _run(yard, plan, contender)
                    pair.speed.add(floor[0], speed)
                    pair.delay.add(floor[1], delay)
    return [*(pair.speed for pair in pairs.values()), *(pair.delay for pair in pairs.values()), *absent]


async def _peers() -> list[Contender]:
    await apart.ready()
    versions = await apart.versions()
    return [replace(peer, note=dated(peer.note, peer.packages, versions)) for peer in PEERS]


def _pair(contender: Contender) -> Pair:
    name = contender.name
    ask = 1.3 if contender is PARLOR else None
    return Pair(
        Row(Operation(f"end to end: {name}", BY_HAND, "tasks/s", note=contender.note)),
        Row(Operation(f"enqueue to result: {name}", BY_HAND, "p50 ms", ask, at_most=True)),
    )


async def _run(yard: Yard, plan: Plan, contender: Contender) -> tuple[Measured, Measured]:
    """Warm its worker up, then give it everything at once, then so many a second."""
    await yard.clear(contender.queue)
    async with results_of(contender, yard) as results, _working(yard, contender) as child:
        few = max(16, int(plan.race_tasks * WARM))
        await results.clear()
        await _produce(yard, contender, few)
        await results.until(few, by=child)
        speed = await _speed(yard, plan, contender, results, child)
        return speed, await _delay(yard, plan, contender, results, child)


async def _speed(yard: Yard, plan: Plan, contender: Contender, results: Results, child: Child) -> Measured:
    await results.clear()
    used_s = child.cpu_s()
    producing = asyncio.create_task(_produce(yard, contender, plan.race_tasks))
    try:
        ended = await results.until(plan.race_tasks, by=child)
        told = await producing
    finally:
        producing.cancel()
    used_s = child.cpu_s() - used_s
    details = {CPU: 1e6 * used_s / plan.race_tasks, "producer's cpu us": told["cpu_us"]}
    details["enqueued/s"] = plan.race_tasks / (told["ended"] - told["began"])
    return Measured(plan.race_tasks / (ended - told["began"]), details)


async def _delay(yard: Yard, plan: Plan, contender: Contender, results: Results, child: Child) -> Measured:
    await results.clear()
    count = int(plan.low_rate * plan.low_s)
    async with results.watched():
        told = await _produce(yard, contender, count, "--rate", str(plan.low_rate))
        await results.until(count, by=child)
        stored = await results.times()
    took_ms = sorted(1000 * (stored[key] - since) for key, since in told["sent"].items())
    return Measured(percentile(took_ms, 50), {"p99 ms": percentile(took_ms, 99)})


async def _produce(yard: Yard, contender: Contender, count: int, *options: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(await yard.stage.run(*contender.producer, str(count), *options))
    return told


@asynccontextmanager
async def _working(yard: Yard, contender: Contender) -> AsyncIterator[Child]:
    async with yard.stage.child(*contender.worker, **contender.settings) as child:
        deadline = time.monotonic() + PATIENCE_S
        while not await yard.consumers(contender.queue):
            if child.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{contender.name} does not consume:\n{child.words()[-4000:]}")
            await asyncio.sleep(0.05)
        yield child
