"""A worker's side of RabbitMQ, in a namespace of its own, and a foreign client beside it."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from uuid import uuid4

from pika import (
    BasicProperties,
    BlockingConnection,
    URLParameters,
)
from pika.adapters.blocking_connection import BlockingChannel

from parlor.adapters.rabbitmq.connection import Link, visit
from parlor.adapters.rabbitmq.consumer import PREFETCH, RabbitInbox
from parlor.adapters.rabbitmq.outlet import Outlet
from parlor.adapters.rabbitmq.publisher import RabbitBus
from parlor.adapters.rabbitmq.topology import Names
from parlor.core.shared.bus import Delivery, DueTask
from parlor.core.shared.ids import TaskId, uuid7
from tests.waiting import eventually

__all__ = [
    "BasicProperties",
    "Bench",
    "BlockingChannel",
    "Foreign",
    "a_bench",
    "a_namespace",
    "due",
    "got",
    "remove",
]


def a_namespace() -> str:
    return f"test-{uuid4().hex[:12]}"


def due(queue: str = "default", traceparent: str | None = None) -> DueTask:
    return DueTask(TaskId(uuid7()), queue, traceparent)


@dataclass(frozen=True)
class Bench:
    """What the container wires for a worker. A test starts the inbox itself, when it wants deliveries."""

    url: str
    names: Names
    publishing: Link
    consuming: Link
    outlet: Outlet
    bus: RabbitBus
    inbox: RabbitInbox

    @property
    def foreign(self) -> "Foreign":
        return Foreign(self.url)

    async def consume(self) -> RabbitInbox:
        await self.inbox.start()
        await eventually(lambda: self.inbox.ready)
        return self.inbox

    async def publishes(self) -> None:
        """Wait until it can."""
        await eventually(lambda: self.outlet.ready)
        await eventually(lambda: self.bus.room("low"))

    async def ready(self, queue: str) -> int:
        return 2000 - await self.bus.room(queue)

    async def take(self, count: int) -> list[Delivery]:
        taken: list[Delivery] = []
        while len(taken) < count:
            taken += await self.inbox.take(count - len(taken))
        return taken


@asynccontextmanager
async def a_bench(
    url: str, *, prefetch: Sequence[int] = PREFETCH, clock: Callable[[], float] | None = None
) -> AsyncIterator[Bench]:
    namespace = a_namespace()
    publishing, consuming = Link(url, namespace), Link(url, namespace)
    outlet = Outlet(publishing)
    options = {} if clock is None else {"clock": clock}
    inbox = RabbitInbox(consuming, outlet, prefetch=prefetch, **options)
    bench = Bench(url, Names(namespace), publishing, consuming, outlet, RabbitBus(outlet), inbox)
    async with AsyncExitStack() as stack:
        for part in (publishing, consuming, outlet, bench.bus):
            await part.start()
            stack.push_async_callback(part.close)
        stack.push_async_callback(inbox.close)
        await bench.publishes()
        yield bench


async def remove(url: str, names: Names) -> None:
    """Leave nothing in a shared broker."""
    async with visit(url) as channel:
        for queue in names.queues():
            await channel.queue_delete(queue)
        for exchange in names.exchanges():
            await channel.exchange_delete(exchange)


@dataclass(frozen=True)
class Foreign:
    """Another program, with another library. It blocks: call it in a thread."""

    url: str

    def publish(self, exchange: str, key: str, body: bytes, properties: BasicProperties) -> None:
        with BlockingConnection(URLParameters(self.url)) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            channel.basic_publish(exchange, key, body, properties, mandatory=True)

    def get(self, queue: str) -> tuple[BasicProperties, bytes]:
        with BlockingConnection(URLParameters(self.url)) as connection:
            return got(connection.channel(), queue)

    def echo(self, properties: BasicProperties) -> BasicProperties:
        """Answer what comes back of these when nobody has touched them."""
        with BlockingConnection(URLParameters(self.url)) as connection:
            channel = connection.channel()
            queue = channel.queue_declare("", exclusive=True).method.queue
            channel.basic_publish("", queue, b"", properties)
            return got(channel, queue)[0]

    def do(self, what: Callable[[BlockingChannel], object]) -> None:
        with BlockingConnection(URLParameters(self.url)) as connection:
            what(connection.channel())


def got(channel: BlockingChannel, queue: str) -> tuple[BasicProperties, bytes]:
    method, properties, body = channel.basic_get(queue, auto_ack=True)
    assert method is not None, f"{queue} is empty"
    return properties, body
