"""What is done once for an installation: its tables, its exchanges and queues."""

from parlor.adapters.rabbitmq import topology
from parlor.adapters.rabbitmq.connection import visit
from parlor.adapters.sql.schema import Schema
from parlor.config import BadSettings, Settings


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
