"""Parlor's processes as their users start them, on real servers, each test with a database and namespace of its own."""

import asyncio
import os
import secrets
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import httpx

from parlor.adapters.rabbitmq import topology
from parlor.adapters.rabbitmq.connection import visit
from parlor.adapters.security.passwords import BcryptHasher
from parlor.adapters.sql.engine import Database
from parlor.adapters.sql.schema import Schema
from parlor.entrypoints.embedded.up import ADMIN_ROLES
from tests.builders import a_user
from tests.databases import drop, execute
from tests.servers.pgbouncer import settings_for
from tests.sql import Sql
from tests.waiting import eventually

PARLOR = Path(sys.executable).with_name("parlor")
PASSWORD = "correct horse 42"
NO_TLS = ssl.SSLContext(
    ssl.PROTOCOL_TLS_CLIENT
)  # else httpx reads every authority there is, for each client: 20 ms


@dataclass
class Process:
    """One running command; `port` is where its health page answers."""

    port: int
    child: subprocess.Popen[bytes]
    log: Path

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def ready(self) -> bool:
        """Whether it has what it needs; fails when it has ended."""
        assert self.child.poll() is None, self.log.read_text()[-4000:]
        async with httpx.AsyncClient(trust_env=False, verify=NO_TLS) as client:
            try:
                return bool((await client.get(f"{self.base}/readyz")).json()["status"] != "unready")
            except httpx.TransportError:
                return False

    def signal(self, number: signal.Signals) -> None:
        self.child.send_signal(number)

    def kill(self) -> None:
        """End it as a crash would."""
        self.child.kill()
        self.child.wait()

    async def stop(self, patience: float = 45) -> int:
        """End it as a supervisor would, and answer its exit code."""
        self.child.terminate()
        return await asyncio.to_thread(self.child.wait, patience)


@dataclass
class Fleet:
    """Starts and ends processes that share one database, one Redis and one broker."""

    database_url: str
    redis_url: str
    rabbitmq_url: str
    folder: Path
    namespace: str = field(default_factory=lambda: f"t{secrets.token_hex(4)}")
    settings: dict[str, str] = field(default_factory=dict)
    started: list[Process] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        return inherited | {
            **settings_for(self.database_url),
            "REDIS_URL": self.redis_url,
            "RABBITMQ_URL": self.rabbitmq_url,
            "PARLOR_NAMESPACE": self.namespace,
            "PARLOR_BCRYPT_COST": "4",
            "PARLOR_THROTTLE_SCALE": "1000",
            "PARLOR_LEASE_S": "2",
            "SECURITY_SECRET_KEY": "tests-only-" + "0" * 32,
            **self.settings,
        }

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            [PARLOR, *arguments],
            env=self.environment,
            cwd=self.folder,
            input=stdin,
            text=True,
            capture_output=True,
            timeout=60,
            check=False,
        )

    async def serve(self) -> Process:
        """Start an API process, and wait until it answers."""
        port = free_port()
        return await self.start(port, "serve", "--port", str(port))

    async def worker(self, *options: str) -> Process:
        """Start a worker, and wait until it has what it needs."""
        port = free_port()
        return await self.start(port, "worker", *options, PARLOR_WORKER_PORT=str(port))

    async def relay(self) -> Process:
        """Start a relay, and wait until it has what it needs."""
        port = free_port()
        return await self.start(port, "relay", PARLOR_WORKER_PORT=str(port))

    async def start(self, port: int, *arguments: str, **settings: str) -> Process:
        """Start a command that serves on this port, and wait until it is ready."""
        log = self.folder / f"{arguments[0]}-{port}.log"
        with log.open("wb") as output:
            child = subprocess.Popen(
                [PARLOR, *arguments],
                env=self.environment | settings,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        process = Process(port, child, log)
        self.started.append(process)
        await eventually(process.ready, within=60)
        return process

    def close(self) -> None:
        """End whatever still runs."""
        for process in self.started:
            if process.child.poll() is None:
                process.kill()

    @asynccontextmanager
    async def database(self) -> AsyncIterator[Any]:
        """Look into the tables."""
        connection = await asyncpg.connect(self.database_url)
        try:
            yield connection
        finally:
            await connection.close()


@asynccontextmanager
async def a_fleet(
    postgres: str, redis: str, rabbitmq: str, folder: Path, *, template: str | None = None, **settings: str
) -> AsyncIterator[Fleet]:
    """Give a database, a copy of the template or else migrated, with its topology; afterwards nothing of it is left.

    Both are made in this process: a command for each would take longer than most tests.
    """
    name = f"fleet_{secrets.token_hex(6)}"
    like = "" if template is None else f" template {template} strategy file_copy"
    await execute(postgres, f"create database {name}{like}")
    parts = urlsplit(postgres)
    fleet = Fleet(urlunsplit(parts._replace(path=f"/{name}")), redis, rabbitmq, folder, settings=settings)
    try:
        if template is None:
            await Schema(fleet.database_url).upgrade()
        async with visit(rabbitmq) as channel:
            await topology.declare(channel, fleet.namespace)
        yield fleet
    finally:
        fleet.close()
        await drop(postgres, name)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def signed_in(base: str, email: str | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """Register, log in, and lend a client that sends the token."""
    account = {"email": email or f"{secrets.token_hex(6)}@example.com", "password": PASSWORD}
    async with httpx.AsyncClient(
        base_url=f"{base}/api/v1", trust_env=False, verify=NO_TLS, timeout=40
    ) as client:
        answer = await client.post("/auth/register", json=account)
        assert answer.status_code in {201, 409}, answer.text
        pair = (await client.post("/auth/login", json=account)).json()
        client.headers["Authorization"] = f"Bearer {pair['access_token']}"
        yield client


@asynccontextmanager
async def as_admin(fleet: Fleet, base: str) -> AsyncIterator[httpx.AsyncClient]:
    """Make an administrator, and log in as one; the command that does so would take a second each time."""
    hasher = BcryptHasher(cost=4, threads=1)
    admin = a_user(roles=ADMIN_ROLES, password_hash=await hasher.hash(PASSWORD))
    hasher.close()
    database = Database(fleet.database_url, size=1, name="tests")
    await database.open()
    async with Sql(database).work() as work:
        await work.users.add(admin)
    await database.close()
    async with signed_in(base, admin.email) as client:
        yield client
