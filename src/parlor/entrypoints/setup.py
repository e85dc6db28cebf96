"""What is done once for an installation: its tables, its exchanges and queues."""

from aiormq.exceptions import InvalidFrameError

from parlor.adapters.rabbitmq import topology
from parlor.adapters.rabbitmq.connection import visit
from parlor.adapters.sql.capacity import Capacity, capacity_of
from parlor.adapters.sql.engine import Database
from parlor.adapters.sql.schema import Schema
from parlor.config import BadSettings, Settings

TAKES_S = 5.0


async def migrate(settings: Settings) -> None:
    """Bring the database up to date; raises BadSettings where none is named."""
    await Schema(settings.migrated).upgrade()


async def declare_topology(settings: Settings) -> None:
    """Declare RabbitMQ's exchanges and queues; raises BadSettings where they exist otherwise, naming the difference."""
    if settings.rabbitmq is None:
        raise BadSettings("set RABBITMQ_URL first")
    try:
        async with visit(settings.rabbitmq) as channel:
            await topology.declare(channel, settings.namespace)
    except topology.TopologyMismatch as error:
        raise BadSettings(str(error)) from error


async def check_topology(settings: Settings) -> None:
    """Raise unless every exchange and queue is there as it should be."""
    if settings.rabbitmq is None:
        raise BadSettings("set RABBITMQ_URL first")
    async with visit(settings.rabbitmq) as channel:
        await topology.check(channel, settings.namespace)


async def check_admitted(settings: Settings) -> None:
    """Raise unless the broker lets us in: user, password and virtual host are right."""
    if settings.rabbitmq is None:
        raise BadSettings("set RABBITMQ_URL first")
    try:
        async with visit(settings.rabbitmq):
            return
    except InvalidFrameError as error:  # how aiormq says that the virtual host is refused
        raise ConnectionError("the broker closed the connection: is there such a virtual host?") from error


async def check_takes(settings: Settings) -> None:
    """Raise TimeoutError where the broker takes no message: one to nobody, which it would confirm and forget."""
    if settings.rabbitmq is None:
        raise BadSettings("set RABBITMQ_URL first")
    async with visit(settings.rabbitmq) as channel:
        await channel.basic_publish(b"", routing_key=f"{settings.namespace}.nobody", timeout=TAKES_S)


async def count_connections(settings: Settings) -> Capacity:
    """Ask the database what it allows, what is open, and what time it is."""
    if settings.database is None:
        raise BadSettings("set DATABASE_URL first")
    database = Database(settings.database, size=1, name="parlor check", pgbouncer=settings.pgbouncer)
    await database.open()
    try:
        async with database.session() as session:
            return await capacity_of(session)
    finally:
        await database.close()
