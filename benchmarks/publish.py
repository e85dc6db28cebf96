"""Publishes orders as any program does, with confirms: `python -m benchmarks.publish EXCHANGE KEY COUNT`."""

import json
import os

import aio_pika
import uvloop
from aio_pika.abc import DeliveryMode

from benchmarks.producing import arguments, produce
from parlor.core.shared.ids import uuid7


async def main() -> None:
    given = arguments("publish", "exchange", "key")
    connection = await aio_pika.connect(os.environ["RABBITMQ_URL"])
    channel = await connection.channel()
    exchange = (
        await channel.get_exchange(given.exchange, ensure=False)
        if given.exchange
        else channel.default_exchange
    )

    async def send(number: int) -> str:
        order = message(number)
        await exchange.publish(order, given.key)
        return str(order.message_id)

    await produce(given, send)
    await connection.close()


def message(number: int) -> aio_pika.Message:
    return aio_pika.Message(
        json.dumps({"kind": "noop", "payload": {"number": number}}).encode(),
        message_id=str(uuid7()),
        content_type="application/json",
        delivery_mode=DeliveryMode.PERSISTENT,
    )


if __name__ == "__main__":
    uvloop.run(main())
