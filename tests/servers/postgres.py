"""A throwaway PostgreSQL: the embedded mode's own launcher, with what a test run can do without."""

import os
import secrets
import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Protocol

from parlor.entrypoints.embedded import binaries, children
from parlor.entrypoints.embedded.children import Account
from parlor.entrypoints.embedded.postgres import STATE_DIR, EmbeddedPostgres, NoPostgres
from tests.servers.docker import Container
from tests.servers.processes import answers, freeze, temporary_folder, thaw
from tests.servers.server import Program, Server
from tests.servers.sources import Recipe, choose

INSIDE = 5432
DURABLE = {"max_connections": "300"}
# No test pulls the plug of the machine. A killed server loses nothing by these.
SETTINGS = {**DURABLE, "fsync": "off", "full_page_writes": "off"}
LOGIN = b"user\0parlor\0database\0parlor\0\0"


class Database(Program, Protocol):
    """A PostgreSQL, whatever it runs in."""

    @property
    def superuser_url(self) -> str: ...


class Postgres(Server):
    """A PostgreSQL of one's own, with an empty database."""

    _program: Database

    def __init__(self, *, durable: bool = False) -> None:
        """Make one; a durable one waits for the disk, as in production."""
        super().__init__(choose(_recipe(DURABLE) if durable else RECIPE))

    @property
    def superuser_url(self) -> str:
        """The same database, for what the service itself may not do."""
        return self._program.superuser_url


class LocalPostgres:
    """Programs of this machine or of the wheel."""

    def __init__(self, programs: Path, settings: Mapping[str, str]) -> None:
        self.origin = str(programs)
        self._folder = temporary_folder("postgres")
        self._postgres = EmbeddedPostgres(self._folder / "data", pg_bin=programs, settings=settings)

    @property
    def url(self) -> str:
        return self._postgres.url

    @property
    def superuser_url(self) -> str:
        return self._postgres.superuser_url

    def start(self) -> None:
        self._postgres.start()

    def stop(self) -> None:
        self.resume()
        self._postgres.stop()

    def kill(self) -> None:
        self._postgres.kill()

    def pause(self) -> None:
        freeze(self._postgres.pid)

    def resume(self) -> None:
        if self._postgres.is_running:
            thaw(self._postgres.pid)

    def close(self) -> None:
        self.stop()
        shutil.rmtree(
            (self._folder / "data").resolve(), ignore_errors=True
        )  # a link, where root is locked in
        shutil.rmtree(self._folder, ignore_errors=True)


class PostgresContainer(Container):
    """The official image, whose one role is a superuser."""

    @property
    def superuser_url(self) -> str:
        return self.url


def _local(settings: Mapping[str, str]) -> Database | None:
    chosen = os.environ.get("PARLOR_PG_BIN")
    try:
        found = binaries.find(
            major=None,
            pg_bin=Path(chosen) if chosen else None,
            account=Account.unprivileged(),
            state_dir=STATE_DIR,
        )
    except NoPostgres:
        return None
    return LocalPostgres(found.folder, settings)


def _container() -> Database:
    port, password = children.free_port(), secrets.token_urlsafe(24)
    return PostgresContainer(
        "postgres:17-alpine",
        url=f"postgresql://parlor:{password}@127.0.0.1:{port}/parlor",
        ports=(port, INSIDE),
        ready=partial(_is_ready, port),
        env={"POSTGRES_USER": "parlor", "POSTGRES_PASSWORD": password, "POSTGRES_DB": "parlor"},
    )


def _is_ready(port: int) -> bool:
    """Begin a login: the question for a password comes only from a server that is up."""
    hello = (len(LOGIN) + 8).to_bytes(4) + (3 << 16).to_bytes(4) + LOGIN
    return answers(port, hello, b"R")


def _recipe(settings: Mapping[str, str]) -> Recipe[Database]:
    return Recipe("PostgreSQL", "TEST_DATABASE_URL", "postgresql", partial(_local, settings), _container)


RECIPE = _recipe(SETTINGS)
