"""Taskiq: taskiq-aio-pika with a quorum queue, acknowledged when the result is stored, results in Redis."""

import asyncio
import os

from taskiq_aio_pika import AioPikaBroker
from taskiq_aio_pika.queue import Queue, QueueType
from taskiq_redis import RedisAsyncResultBackend

from benchmarks.producing import arguments, produce

DAY_S = 86_400

results = RedisAsyncResultBackend(os.environ["RESULTS_URL"], result_ex_time=DAY_S)
broker = AioPikaBroker(
    os.environ["RABBITMQ_URL"],
    qos=100,
    task_queues=[Queue(name="peer.taskiq", type=QueueType.QUORUM)],
    dead_letter_queue=Queue(name="peer.taskiq.dead"),
).with_result_backend(results)


@broker.task(task_name="noop")
async def noop(number: int) -> dict[str, int]:
    return {"echo": number}


async def send(number: int) -> str:
    return (await noop.kiq(number)).task_id


async def main() -> None:
    await broker.startup()
    try:
        await produce(arguments("with_taskiq"), send)
    finally:
        await broker.shutdown()


if __name__ == "__main__":
    asyncio.run(main())
