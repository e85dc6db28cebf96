"""On what a run was made: the machine, how busy it was, and the servers."""

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

import aio_pika
import asyncpg
from redis.asyncio import Redis

from benchmarks.stage import Stage

# The load average, for each core, above which figures are noise.
BUSY = 0.5
BUSY_MACHINE = "The machine was busy before anything was measured: these figures are not to be relied on."


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def circumstances() -> dict[str, object]:
    """Look around, before anything is started."""
    load = os.getloadavg()[0]
    return {
        "taken_at": datetime.now(UTC).isoformat(timespec="minutes").replace("+00:00", "Z"),
        "cores": cores(),
        "processor": _processor(),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load_at_start": round(load, 2),
        "warning": BUSY_MACHINE if load > BUSY * cores() else None,
    }


async def servers(stage: Stage) -> dict[str, str]:
    """Ask each server for its version."""
    database = await asyncpg.connect(stage.database)
    broker = await aio_pika.connect(stage.rabbitmq)
    redis = Redis.from_url(stage.redis)
    try:
        info = await redis.info("server")
        properties = broker.transport.connection.server_properties  # type: ignore[union-attr]  # it is connected
        return {
            "PostgreSQL": str(await database.fetchval("show server_version")),
            "Valkey" if "valkey_version" in info else "Redis": info.get(
                "valkey_version", info["redis_version"]
            ),
            "RabbitMQ": str(properties["version"]),
        }
    finally:
        await redis.aclose()
        await broker.close()
        await database.close()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())
