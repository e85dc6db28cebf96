"""`parlor up`: PostgreSQL, API, relay and worker in one process, with nothing installed."""

import asyncio
import os
import secrets
import socket
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import structlog
from pydantic import SecretStr

from parlor.config import DEVELOPMENT_SECRET, BadSettings, Settings
from parlor.container import Container, make_container
from parlor.core.identity.model import EmailTaken
from parlor.core.identity.use_cases import Register
from parlor.core.shared.bus import MessageBus
from parlor.core.tasks.ports import Upkeep
from parlor.entrypoints.consume_worker.main import running, told_to_stop, watch
from parlor.entrypoints.embedded.postgres import AlreadyRunning, EmbeddedPostgres
from parlor.entrypoints.garbage import spare_what_is_made
from parlor.entrypoints.http.app import make_app
from parlor.entrypoints.http.server import make_server, serve_quietly
from parlor.wiring.modes import Mode, Role

log = structlog.get_logger()

ADMIN_EMAIL = "admin@parlor.local"
ADMIN_ROLES = frozenset({"admin", "user"})


async def up(settings: Settings, listener: socket.socket) -> None:
    """Run everything until a signal comes."""
    stopping = told_to_stop()
    async with AsyncExitStack() as stack:
        settings = await with_database(settings, stack)
        container = make_container(settings, mode=Mode.EMBEDDED, role=Role.API)
        await container.start()
        stack.push_async_callback(container.close)
        # The bus of the last process died with it: what was published there and not run is published again.
        await container.get(Upkeep).reap(await container.get(MessageBus).idle_queues(), unclaimed_s=0)
        parts = await stack.enter_async_context(running(container, consume=True, relay=True, timers=True))
        server = make_server(make_app(container, owns_container=False), settings)
        spare_what_is_made()
        await _greet(container, listener)
        serving = asyncio.create_task(serve_quietly(server, [listener]))
        serving.add_done_callback(lambda _: stopping.set())
        try:
            await watch(parts, stopping)
        finally:
            server.should_exit = True
            await serving


async def with_database(settings: Settings, stack: AsyncExitStack, *, share: bool = False) -> Settings:
    """Take the database that is set, or the embedded one (a running one only to `share`), and a secret of its own."""
    if settings.redis or settings.rabbitmq:
        log.warning(
            "ignored", why="`parlor up` runs cache and bus in process", settings=["REDIS_URL", "RABBITMQ_URL"]
        )
    changes: dict[str, object] = {"migrate_on_start": True}
    if settings.database is None:
        changes["database_url"] = SecretStr(await _embedded(settings, stack, share=share))
        changes |= {"pgbouncer": False, "migrate_url": None, "migrate_url_file": None}
    if settings.secrets == (DEVELOPMENT_SECRET,):
        changes["security_secret_key"] = SecretStr(_kept_secret(settings.data_dir / "secret"))
    return settings.model_copy(update=changes)


async def _embedded(settings: Settings, stack: AsyncExitStack, *, share: bool) -> str:
    """Start the server; where another process of ours runs it, that one wrote down how to reach it."""
    address = settings.data_dir / "database-url"
    server = EmbeddedPostgres(settings.data_dir / "postgres", pg_bin=settings.pg_bin)
    try:
        url = await stack.enter_async_context(server)
    except AlreadyRunning:
        if not share or not address.is_file():
            raise
        return address.read_text()
    address.unlink(missing_ok=True)
    _write_private(address, url)
    stack.callback(address.unlink, missing_ok=True)
    return url


def _kept_secret(path: Path) -> str:
    """Read the secret, or draw one on the first run: nobody else's tokens are good here."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        _write_private(path, secrets.token_urlsafe(48))
    kept = path.read_text().strip()
    if not kept:
        raise BadSettings(f"{path} is empty: delete it, and a new secret is drawn")
    return kept


def _write_private(path: Path, text: str) -> None:
    """Make a file that only its owner reads; raises FileExistsError."""
    with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode=0o600), "w") as file:
        file.write(text)


async def _greet(container: Container, listener: socket.socket) -> None:
    """Print the lines that a newcomer pastes from."""
    port = listener.getsockname()[1]
    base = f"http://localhost:{port}"
    password = await _first_admin(container)
    shown = (
        f"{ADMIN_EMAIL} / {password}"
        if password
        else f"{ADMIN_EMAIL} / (set on the first run; new one: {RESET})"
    )
    print(f"docs     {base}/docs")  # noqa: T201 - the command's own output
    if container.settings.console:
        print(f"console  {base}/admin")  # noqa: T201 - the command's own output
    print(f"admin    {shown}")  # noqa: T201 - the command's own output
    print(f"try      {try_it(base)}", flush=True)  # noqa: T201 - the command's own output


RESET = ".venv/bin/parlor users reset-password --email " + ADMIN_EMAIL


async def _first_admin(container: Container) -> str | None:
    password = secrets.token_urlsafe(12)
    try:
        await container.command(Register)(
            email=ADMIN_EMAIL, password=password, display_name="Admin", roles=ADMIN_ROLES
        )
    except EmailTaken:
        return None
    return password


def try_it(base: str) -> str:
    """Write one pasteable line: register, log in, draw a card as a task, show its result."""
    api = f"{base}/api/v1"
    json = "-H 'Content-Type: application/json'"
    read = "python3 -c 'import json,sys; print(json.load(sys.stdin)[sys.argv[1]])'"
    account = '{"email":"\'$E\'","password":"correct horse 42"}'
    return (
        f"E=me$RANDOM@example.com; curl -s {api}/auth/register {json} -d '{account}' >/dev/null; "
        f"T=$(curl -s {api}/auth/login {json} -d '{account}' | {read} access_token); "
        f'ID=$(curl -s {api}/tasks {json} -H "Authorization: Bearer $T" '
        f'-d \'{{"kind":"truth_or_dare","payload":{{}}}}\' | {read} id); '
        f'curl -s "{api}/tasks/$ID?wait=20" -H "Authorization: Bearer $T" | {read} result'
    )
