"""The servers and processes that a run starts for itself, with default settings and logs in files."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from benchmarks import proc
from parlor.config import Settings
from parlor.entrypoints.embedded import children
from tests.servers import Postgres, RabbitMQ, Redis, Server

ROOT = Path(__file__).parents[1]
PATIENCE_S = 60.0
POLL_S = 0.02
# Where peers keep their results: a database of Redis that has nothing else.
RESULTS_DATABASE = 9
# A database that has been migrated and nothing else: what the others are copied from.
MIGRATED = "migrated"
OURS = ("PARLOR_", "SECURITY_", "DATABASE_URL", "REDIS_URL", "RABBITMQ_URL")
PYTHON = (sys.executable, "-m")
PARLOR = str(Path(sys.executable).with_name("parlor"))


@dataclass(slots=True)
class Child:
    """A process under measurement."""

    process: subprocess.Popen[bytes]
    log: Path

    def cpu_s(self) -> float:
        """The processor time that it and its own children have used."""
        return proc.cpu_s(self.process.pid)

    def resident_mib(self) -> float:
        """The memory that they hold."""
        return proc.resident_mib(self.process.pid)

    def words(self) -> str:
        """What it has written."""
        return self.log.read_text(errors="replace")

    async def says(self, word: str) -> None:
        """Wait for a word in its log."""
        await self.until(lambda: word in self.words(), word)

    async def listens(self, port: int) -> None:
        """Wait until its port answers."""
        await self.until(lambda: _answers(port), f"port {port}")

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{what}: not so. The process's last words:\n{self.words()[-4000:]}")
            await asyncio.sleep(POLL_S)

    async def stop(self) -> None:
        """End it in good order."""
        self.process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            await asyncio.to_thread(self.process.wait, 20)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@dataclass(slots=True)
class Stage:
    """Servers with an empty, migrated database, and a folder for logs."""

    folder: Path
    environment: dict[str, str]
    superuser: str
    numbers: Iterator[int] = field(default_factory=count)

    @property
    def settings(self) -> Settings:
        """What a process of ours reads from this environment."""
        ours = {name: value for name, value in self.environment.items() if name.startswith(OURS)}
        return Settings(_env_file=None, **ours)  # type: ignore[arg-type]  # pydantic-settings' own argument

    @property
    def database(self) -> str:
        return self.environment["DATABASE_URL"]

    @property
    def rabbitmq(self) -> str:
        return self.environment["RABBITMQ_URL"]

    @property
    def redis(self) -> str:
        return self.environment["REDIS_URL"]

    def with_database(self, name: str) -> "Stage":
        """Answer the same stage with another database of the same server."""
        return self.set_to(DATABASE_URL=named(self.database, name))

    async def migrate(self) -> None:
        """Make the tables, and keep a copy of what is there then."""
        await self.run(PARLOR, "migrate")
        superuser = await asyncpg.connect(self.superuser)
        await superuser.execute(f"create database {MIGRATED} template {urlsplit(self.database).path[1:]}")
        await superuser.close()

    def set_to(self, **settings: str) -> "Stage":
        """Answer the same stage with other settings."""
        return replace(self, environment=self.environment | settings)

    @asynccontextmanager
    async def child(self, *argv: str, **settings: str) -> AsyncIterator[Child]:
        """Run a process as long as the context; its output goes to a file."""
        log = self._new_log()
        environment = self.environment | settings
        child = Child(children.spawn(argv, log=log, env=environment, at_our_death=signal.SIGKILL), log)
        try:
            yield child
        finally:
            await child.stop()

    async def run(self, *argv: str) -> str:
        """Run a process to its end; answers what it wrote to stdout, its log goes to a file."""
        with self._new_log().open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *argv, env=self.environment, cwd="/", stdout=asyncio.subprocess.PIPE, stderr=log
            )
            try:
                told, _ = await process.communicate()
            finally:
                if process.returncode is None:
                    process.kill()
        if process.returncode:
            raise RuntimeError(f"{argv[1:]}: {Path(log.name).read_text()[-4000:]}")
        return told.decode()

    def _new_log(self) -> Path:
        return self.folder / f"{next(self.numbers)}.log"


@contextmanager
def a_stage() -> Iterator[Stage]:
    """Start all three servers, in a folder that leaves with them."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="parlor-benchmarks-"))
        postgres, redis, rabbitmq = servers = Postgres(durable=True), Redis(), RabbitMQ()
        for server in servers:
            stack.enter_context(closing(server))
        with ThreadPoolExecutor() as starting:
            list(starting.map(Server.start, servers))
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        environment = inherited | {
            "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
            "DATABASE_URL": postgres.url,
            "REDIS_URL": redis.url,
            "RESULTS_URL": f"{redis.url}/{RESULTS_DATABASE}",
            "RABBITMQ_URL": rabbitmq.url,
            "PARLOR_THROTTLE_SCALE": "1000000",  # all load comes from one address
        }
        yield Stage(Path(folder), environment, postgres.superuser_url)


def named(url: str, database: str) -> str:
    """Name another database of the same server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


def free_port() -> int:
    """Find a port for a server of this run."""
    return children.free_port()


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
