"""A PostgreSQL that is reached by TLS, as its URL demands: by the pool, by migrations, by Alembic's own command."""

import asyncio
import shutil
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from alembic import command

from parlor.adapters.sql.engine import Database
from parlor.adapters.sql.schema import Schema, config
from parlor.core.shared.errors import DatabaseAway
from parlor.entrypoints.embedded.children import Account
from parlor.entrypoints.embedded.postgres import EmbeddedPostgres
from tests.certificates import a_certificate
from tests.servers.processes import temporary_folder

ENCRYPTED = "select ssl from pg_stat_ssl where pid = pg_backend_pid()"


@dataclass(frozen=True, slots=True)
class Guarded:
    """A server with a certificate, and somebody else's."""

    url: str
    authority: Path
    stranger: Path

    def demanding(self, mode: str, authority: Path | None = None) -> str:
        """Give the URL with what it asks of the connection."""
        trust = "" if authority is None else f"&sslrootcert={authority}"
        return f"{self.url.replace('@127.0.0.1', '@localhost')}?sslmode={mode}{trust}"


@pytest.fixture(scope="module")
def guarded() -> Iterator[Guarded]:
    folder = temporary_folder("tls")
    own, other = folder / "own", folder / "other"
    for place in (own, other):
        place.mkdir(mode=0o711)
        a_certificate(place, "localhost")
    authority = folder / "authority.pem"
    shutil.copy(own / "server.pem", authority)
    served = own / "server.pem"
    served.chmod(0o600)
    account = Account.unprivileged()
    if account is not None:
        account.own(served)
    settings = {"ssl": "on", "ssl_cert_file": str(served), "ssl_key_file": str(served), "fsync": "off"}
    server = EmbeddedPostgres(folder / "data", settings=settings)
    try:
        yield Guarded(server.start(), authority, other / "server.pem")
    finally:
        server.stop()
        shutil.rmtree((folder / "data").resolve(), ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)


async def is_encrypted(url: str) -> bool:
    database = Database(url, size=1, name="tests")
    await database.open()
    try:
        async with database.session() as session:
            return bool(await session.fetchval(ENCRYPTED))
    finally:
        await database.close()


async def test_everything_takes_a_url_that_demands_tls(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    for url in (guarded.demanding("require"), guarded.demanding("verify-full", guarded.authority)):
        assert await is_encrypted(url)
        await Schema(url).upgrade()
        monkeypatch.setenv("PARLOR_MIGRATE_URL", url)
        await asyncio.to_thread(command.upgrade, config(), "head")
    assert not await is_encrypted(guarded.demanding("disable"))


async def test_a_server_that_is_not_the_one_is_not_talked_to(guarded: Guarded) -> None:
    url = guarded.demanding("verify-full", guarded.stranger)
    with pytest.raises(DatabaseAway):
        await is_encrypted(url)
    with pytest.raises(ssl.SSLCertVerificationError):
        await Schema(url).upgrade()
