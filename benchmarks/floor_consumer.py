"""The floor of tasks: an aio-pika consumer as one writes it by hand, a row for each message with asyncpg."""

import asyncio
import json
import os
import signal
import sys
from uuid import UUID

import aio_pika
import asyncpg
import uvloop

PREFETCH = 100
POOL = 10
INSERT = "insert into floor_results (id, result) values ($1, $2)"


async def main(queue_name: str) -> None:
    """Consume until a signal comes."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    pool = await asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=POOL, max_size=POOL)
    connection = await aio_pika.connect(os.environ["RABBITMQ_URL"])
    channel = await connection.channel()
    await channel.set_qos(prefetch_count=PREFETCH)
    queue = await channel.get_queue(queue_name)

    async def on_message(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        order = json.loads(message.body)
        result = {"echo": order["payload"]["number"]}
        await pool.execute(INSERT, UUID(message.message_id), json.dumps(result))
        await message.ack()

    print("ready", flush=True)
    await queue.consume(on_message)
    await stopping.wait()
    await connection.close()
    await pool.close()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
