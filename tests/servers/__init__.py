"""Real PostgreSQL, Redis and RabbitMQ for tests and benchmarks, each from one call."""

from collections.abc import Callable
from typing import Final

from tests.servers import postgres, rabbitmq, redis
from tests.servers.postgres import Postgres
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.redis import Redis
from tests.servers.server import Server
from tests.servers.sources import NoServer

__all__ = ["KINDS", "VARIABLES", "NoServer", "Postgres", "RabbitMQ", "Redis", "Server"]

KINDS: Final[dict[str, Callable[[], Server]]] = {"postgres": Postgres, "redis": Redis, "rabbitmq": RabbitMQ}
# Where to find servers that somebody else runs.
VARIABLES: Final = {
    "postgres": postgres.RECIPE.variable,
    "redis": redis.RECIPE.variable,
    "rabbitmq": rabbitmq.RECIPE.variable,
}
