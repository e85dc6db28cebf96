"""`parlor check`: on one screen, what is set up right, and what to do where something is not."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from parlor.config import BadSettings, Settings
from parlor.container import Container, make_container
from parlor.core.shared.health import Part
from parlor.entrypoints.setup import check_topology
from parlor.wiring.modes import Mode

TOPOLOGY_S = 10.0
REMEDIES = {
    "settings": "see .env.example for every variable",
    "database": "is PostgreSQL running, and is DATABASE_URL right?",
    "migrations": "run `parlor migrate`",
    "limits": "give PgBouncer that line. Without it a statement may take 30 s, and as long for a lock",
    "redis": "is Redis running, and is REDIS_URL right? Without it everything works, slower",
    "rabbitmq": "is RabbitMQ running, and is RABBITMQ_URL right? Without it tasks wait in the outbox",
    "topology": "run `parlor topology`",
}


async def check(settings: Settings) -> int:
    """Print a line for each part; answers 0 when all is right, else 1."""
    try:
        container = make_container(settings, mode=Mode.SERVICES)
    except BadSettings as error:
        _tell("settings", str(error))
        return 1
    _tell("settings", None)
    parts = await _asked(container)
    wrong = {name: part.detail or "down" for name, part in parts.items() if part.status == "down"}
    wrong |= await _problem("topology", lambda: check_topology(settings))
    for name in (*parts, "topology"):
        _tell(name, wrong.get(name))
    return 1 if wrong else 0


async def _asked(container: Container) -> Mapping[str, Part]:
    await container.start()
    try:
        return await container.parts()
    finally:
        await container.close()


async def _problem(name: str, ask: Callable[[], Awaitable[None]]) -> dict[str, str]:
    try:
        async with asyncio.timeout(TOPOLOGY_S):
            await ask()
    except Exception as error:  # noqa: BLE001 - whatever is wrong is what is to be told
        return {name: str(error) or type(error).__name__}
    return {}


def _tell(name: str, wrong: str | None) -> None:
    line = f"{name:<11} ok" if wrong is None else f"{name:<11} NOT OK  {wrong}\n{'':<11} → {REMEDIES[name]}"
    print(line)  # noqa: T201 - the command's own output
