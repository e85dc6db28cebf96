"""A throwaway PgBouncer in transaction mode, in front of a PostgreSQL of a test run."""

import atexit
import os
import shutil
from functools import cache, partial
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from parlor.adapters.sql.engine import LIMITS
from parlor.adapters.sql.pgbouncer import connect_query
from parlor.entrypoints.embedded import children
from parlor.entrypoints.embedded.children import Account
from tests.servers.processes import LocalProcess, answers, temporary_folder
from tests.servers.server import Program, Server
from tests.servers.session import shared_url
from tests.servers.sources import NoServer, Recipe, choose

OVER_IT = "TEST_PGBOUNCER"  # set: Parlor's processes reach the run's shared PostgreSQL through one of these
HELLO = (8).to_bytes(4) + (80_877_103).to_bytes(4)  # asks for TLS; the answer is one letter
QUERY = connect_query(LIMITS)  # before a test is patient with its own
# As in docs/operations/postgresql.md, but for the pool: a test's whole load is smaller.
SETTINGS = """
[databases]
* = host={host} port={port} connect_query='{query}'
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own}
unix_socket_dir =
auth_type = plain
auth_file = {folder}/users
pool_mode = transaction
default_pool_size = 8
max_client_conn = 1000
query_wait_timeout = 20
server_login_retry = 1
server_idle_timeout = 5
"""


class PgBouncer(Server):
    """Leads to every database of a PostgreSQL, as the user of its URL."""

    def __init__(self, postgres: str) -> None:
        """Put one in front of this server."""
        super().__init__(choose(recipe(postgres)))

    def leading_to(self, database: str) -> str:
        """Give the URL by which one of the server's databases is reached."""
        return urlunsplit(urlsplit(self.url)._replace(path=urlsplit(database).path))


def settings_for(database: str) -> dict[str, str]:
    """Tell a process of Parlor where its database is: behind a PgBouncer, where the run is to be over one."""
    if not os.environ.get(OVER_IT) or _server_of(database) != _server_of(shared_url("postgres")):
        return {"DATABASE_URL": database}
    return settings_over(_of_this_run(), database)


def settings_over(pgbouncer: PgBouncer, database: str) -> dict[str, str]:
    """Tell a process of Parlor that its database is behind this one."""
    behind = {"DATABASE_URL": pgbouncer.leading_to(database), "PARLOR_MIGRATE_URL": database}
    return behind | {"PARLOR_PGBOUNCER": "true"}


def recipe(postgres: str) -> Recipe[Program]:
    """List the ways to one: a container would have to find its way back to a server of this machine."""
    return Recipe("PgBouncer", OVER_IT, "pgbouncer", partial(_local, postgres), _nothing)


@cache
def _of_this_run() -> PgBouncer:
    started = PgBouncer(shared_url("postgres"))
    atexit.register(started.close)
    started.start()
    return started


def _server_of(url: str) -> tuple[str | None, int | None]:
    parts = urlsplit(url)
    return parts.hostname, parts.port


def _local(postgres: str) -> Program | None:
    program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if program is None:
        return None
    folder, port, server = temporary_folder("pgbouncer"), children.free_port(), urlsplit(postgres)
    users, settings = folder / "users", folder / "pgbouncer.ini"
    users.write_text(f'"{server.username}" "{server.password}"\n')
    given = {"host": server.hostname, "port": server.port, "query": QUERY}
    settings.write_text(SETTINGS.format(own=port, folder=folder, **given))
    account = Account.unprivileged()
    if account is not None:
        _give(account, users, settings)
    place = server._replace(netloc=f"{server.username}:{server.password}@127.0.0.1:{port}")
    return LocalProcess(
        [program, "--quiet", str(settings)],
        url=urlunsplit(place),
        folder=folder,
        ready=partial(answers, port, HELLO, b"N"),
        account=account,
    )


def _give(account: Account, *paths: Path) -> None:
    for path in paths:
        path.chmod(0o600)
        account.own(path)


def _nothing() -> Program:
    raise NoServer("The tests need PgBouncer: install it (the package pgbouncer on Debian and Ubuntu).")
