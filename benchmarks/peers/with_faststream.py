"""FastStream: a quorum queue, acknowledged after the handler, which stores its result with asyncpg itself."""

import asyncio
import json
import os
from uuid import UUID, uuid4

import asyncpg
from faststream import FastStream
from faststream.rabbit import Channel, QueueType, RabbitBroker, RabbitQueue
from pydantic import BaseModel

from benchmarks.producing import arguments, produce

POOL = 10
INSERT = "insert into peer_results (id, result) values ($1, $2)"
QUEUE = RabbitQueue("peer.faststream", queue_type=QueueType.QUORUM, durable=True)

broker = RabbitBroker(os.environ["RABBITMQ_URL"], default_channel=Channel(prefetch_count=100), logger=None)
app = FastStream(broker)
pools: list[asyncpg.Pool] = []


class Order(BaseModel):
    """Its handler takes nothing from the context: each such argument is a trip through a thread."""

    id: UUID
    number: int


@app.on_startup
async def connect() -> None:
    pools.append(await asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=POOL, max_size=POOL))


@app.after_shutdown
async def disconnect() -> None:
    await pools.pop().close()


@broker.subscriber(QUEUE)
async def noop(order: Order) -> None:
    await pools[0].execute(INSERT, order.id, json.dumps({"echo": order.number}))


async def send(number: int) -> str:
    order = Order(id=uuid4(), number=number)
    await broker.publish(order, QUEUE, persist=True)
    return str(order.id)


async def main() -> None:
    async with broker:
        await produce(arguments("with_faststream"), send)


if __name__ == "__main__":
    asyncio.run(main())
