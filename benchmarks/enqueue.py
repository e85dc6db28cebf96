"""Orders tasks as fast as the use case takes them, one transaction each; tells the rate on stdout."""

import asyncio
import json
import resource
import sys
import time

import uvloop

from benchmarks.noop import Noop, make_container
from parlor.config import Settings
from parlor.core.shared.actor import Actor, ActorKind
from parlor.core.shared.ids import UserId, uuid7
from parlor.core.tasks.model import Order
from parlor.core.tasks.use_cases import EnqueueTask
from parlor.entrypoints import logs

CONCURRENCY = 16
WARM = 0.1


def somebody() -> Actor:
    """Make a user who may order tasks; no table asks for more."""
    user_id = UserId(uuid7())
    return Actor(kind=ActorKind.USER, id=user_id, user_id=user_id, permissions=frozenset({"tasks:create"}))


async def main(count: int) -> None:
    settings = Settings()
    logs.configure(settings.log_level)
    container = make_container(settings)
    await container.start()
    enqueue = container.command(EnqueueTask)
    actor = somebody()

    async def orders(numbers: range) -> None:
        for number in numbers:
            await enqueue(actor, Order(kind=Noop.kind, payload={"number": number}))

    async def many(total: int) -> None:
        await asyncio.gather(*(orders(range(start, total, CONCURRENCY)) for start in range(CONCURRENCY)))

    await many(int(count * WARM))
    began, cpu = time.perf_counter(), _cpu_s()
    await many(count)
    took_s, used_s = time.perf_counter() - began, _cpu_s() - cpu
    await container.close()
    print(json.dumps({"rate": count / took_s, "cpu_us": 1e6 * used_s / count}))


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
