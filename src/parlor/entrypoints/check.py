"""`parlor check`: on one screen, what is set up right, and what to do where something is not."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from parlor.config import DEVELOPMENT_SECRET, BadSettings, Settings
from parlor.container import Container, make_container
from parlor.core.shared.health import Part
from parlor.entrypoints.setup import check_admitted, check_takes, check_topology, count_connections
from parlor.wiring.modes import Mode

ANSWER_S = 10.0
REMEDIES = {
    "settings": "see .env.example for every variable",
    "database": "is PostgreSQL running, and is DATABASE_URL right?",
    "migrations": "run `parlor migrate`",
    "limits": "give PgBouncer that line. Without it a statement may take 30 s, and as long for a lock",
    "connections": "raise max_connections, lower PARLOR_DATABASE_POOL, or run fewer processes",
    "clock": "keep both clocks by NTP: tokens, invitations and schedules go by this machine's",
    "redis": "is Redis running, and is REDIS_URL right? Without it everything works, slower",
    "rabbitmq": "is RabbitMQ running, and is RABBITMQ_URL right? Without it tasks wait in the outbox",
    "topology": "run `parlor topology`",
    "publishing": "has RabbitMQ memory and disk left? It takes nothing while one of its alarms is on",
}
DEVELOPMENT = (
    "set SECURITY_SECRET_KEY before others can reach this: the key for development signs, which all know"
)

Ask = Callable[[], Awaitable[None]]


async def check(settings: Settings) -> int:
    """Print a line for each part; answers 0 when all is right, else 1."""
    try:
        container = make_container(settings, mode=Mode.SERVICES)
    except BadSettings as error:
        _tell("settings", str(error))
        return 1
    _tell("settings", None)
    if DEVELOPMENT_SECRET in settings.secrets and settings.private_keys is None:
        print(f"{'':<11} → {DEVELOPMENT}")  # noqa: T201 - the command's own output
    parts = await _asked(container)
    wrong = {name: part.detail or "down" for name, part in parts.items() if part.status == "down"}
    if "rabbitmq" not in wrong and (refused := await _problem(lambda: check_admitted(settings))) is not None:
        wrong["rabbitmq"] = refused
    for name in parts:
        if not (name == "migrations" and "database" in wrong):
            _tell(name, wrong.get(name))
    more = [
        *([] if "database" in wrong else await _about_database(settings)),
        *([] if "rabbitmq" in wrong else await _about_broker(settings)),
    ]
    return 1 if wrong or any(more) else 0


async def _about_database(settings: Settings) -> list[str | None]:
    """Tell of its connections and its clock, where it answers."""

    async def holds() -> None:
        (await count_connections(settings)).must_hold(settings.database_pool)

    async def agrees() -> None:
        (await count_connections(settings)).must_agree()

    # Behind PgBouncer a pool says nothing about the server's connections.
    told = [] if settings.pgbouncer else [await _told("connections", holds)]
    return [*told, await _told("clock", agrees)]


async def _about_broker(settings: Settings) -> list[str | None]:
    """Tell of its exchanges and queues, and whether it takes messages, where it lets us in."""
    return [
        await _told("topology", lambda: check_topology(settings)),
        await _told("publishing", lambda: check_takes(settings)),
    ]


async def _asked(container: Container) -> Mapping[str, Part]:
    await container.start()
    try:
        return await container.parts()
    finally:
        await container.close()


async def _told(name: str, ask: Ask) -> str | None:
    """Ask, print the line, and answer what is wrong."""
    wrong = await _problem(ask)
    _tell(name, wrong)
    return wrong


async def _problem(ask: Ask) -> str | None:
    try:
        async with asyncio.timeout(ANSWER_S):
            await ask()
    except Exception as error:  # noqa: BLE001 - whatever is wrong is what is to be told
        return str(error) or "no answer in time"
    return None


def _tell(name: str, wrong: str | None) -> None:
    line = f"{name:<11} ok" if wrong is None else f"{name:<11} NOT OK  {wrong}\n{'':<11} → {REMEDIES[name]}"
    print(line)  # noqa: T201 - the command's own output
