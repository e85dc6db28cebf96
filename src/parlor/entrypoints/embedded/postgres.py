"""The launcher: a real PostgreSQL server as our child, found, made, started and stopped with us."""

import asyncio
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from parlor.entrypoints.embedded import binaries, children, postmaster
from parlor.entrypoints.embedded.binaries import Binaries, EmbeddedPostgresError, NoPostgres
from parlor.entrypoints.embedded.cluster import (
    DATABASE,
    ROLE,
    SUPERUSER,
    AlreadyRunning,
    DataFolder,
    DidNotStart,
)

__all__ = ["AlreadyRunning", "DidNotStart", "EmbeddedPostgres", "EmbeddedPostgresError", "NoPostgres"]

STATE_DIR = Path("/var/lib/parlor")
PATIENCE_S = 30.0
POLL_S = 0.01
TAIL_LINES = 20
# Terse: the detail of an error shows refused rows whole.
SETTINGS = {"TimeZone": "UTC", "log_timezone": "UTC", "log_error_verbosity": "terse"}
# Reasons that pass: somebody took the port in between; a killed server's sessions are still ending.
PASSING = ("could not bind", "pre-existing shared memory block")


class EmbeddedPostgres:
    """`async with EmbeddedPostgres(folder) as url`; its methods block, for tests and threads."""

    def __init__(
        self,
        data_dir: Path,
        *,
        pg_bin: Path | None = None,
        settings: Mapping[str, str] | None = None,
        state_dir: Path = STATE_DIR,
    ) -> None:
        self.data_dir = data_dir.absolute()
        self.port = 0
        self._pg_bin = pg_bin
        self._settings = {**SETTINGS, **(settings or {})}
        self._state_dir = state_dir
        self._lock: BinaryIO | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._password = ""

    @property
    def url(self) -> str:
        """The database, as the role that the service works as."""
        return f"postgresql://{ROLE}:{self._password}@127.0.0.1:{self.port}/{DATABASE}"

    @property
    def superuser_url(self) -> str:
        """The same database, with nothing forbidden."""
        return f"postgresql://{SUPERUSER}:{self._password}@127.0.0.1:{self.port}/{DATABASE}"

    @property
    def pid(self) -> int:
        """The server's process, whose children are its connections."""
        if self._server is None:
            raise DidNotStart("PostgreSQL is not running.")
        return self._server.pid

    @property
    def is_running(self) -> bool:
        """Whether a server of ours runs."""
        return self._server is not None and self._server.poll() is None

    async def __aenter__(self) -> str:
        starting = asyncio.create_task(asyncio.to_thread(self.start))
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            # A thread cannot be cancelled: what it starts is ours to stop.
            await asyncio.gather(starting, return_exceptions=True)
            await asyncio.to_thread(self.stop)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.shield(asyncio.to_thread(self.stop))

    def start(self) -> str:
        """Return the URL once the server takes connections. Each later start keeps the first one's port."""
        if self.is_running:
            return self.url
        self.stop()  # forgets one that ended by itself
        try:
            self._start_in(DataFolder.at(self.data_dir, self._state_dir))
        except OSError as error:
            self.stop()
            raise EmbeddedPostgresError(f"{self.data_dir}: {error}") from error
        except BaseException:
            self.stop()
            raise
        return self.url

    def stop(self) -> None:
        """End every session, write everything down, and come back when the server is gone."""
        for request, patience in ((signal.SIGINT, PATIENCE_S), (signal.SIGQUIT, 5.0), (signal.SIGKILL, None)):
            if self._ends_by(request, patience):
                break
        self._forget()

    def kill(self) -> None:
        """End the server as a crash would."""
        self._ends_by(signal.SIGKILL, None)
        self._forget()

    def _start_in(self, folder: DataFolder) -> None:
        self._lock = folder.lock()
        env = children.environment()
        found = binaries.find(
            major=folder.major, pg_bin=self._pg_bin, account=folder.account, state_dir=self._state_dir
        )
        if folder.major is None:
            folder.make_cluster(found, env)
        folder.adopt()
        self._password = folder.password
        stale = postmaster.end_leftover(folder.cluster)
        self._launch(folder, found, env | ({"PG_GRANDPARENT_PID": str(stale)} if stale else {}))

    def _launch(self, folder: DataFolder, found: Binaries, env: Mapping[str, str]) -> None:
        fixed_port = self.port
        deadline = time.monotonic() + PATIENCE_S
        while not self._comes_up(folder, found, env, fixed_port or children.free_port(), deadline):
            last_words = _tail(folder.log)
            if time.monotonic() > deadline or not any(words in last_words for words in PASSING):
                raise DidNotStart(f"PostgreSQL did not start; the end of {folder.log}:\n{last_words}")
            time.sleep(POLL_S)

    def _comes_up(
        self, folder: DataFolder, found: Binaries, env: Mapping[str, str], port: int, deadline: float
    ) -> bool:
        folder.put_old_log_aside()
        server = children.spawn(
            [found.postgres, *self._arguments(folder.cluster, port)],
            log=folder.log,
            env=env,
            account=folder.account,
            at_our_death=signal.SIGINT,
        )
        self._server = server
        while server.poll() is None and time.monotonic() < deadline:
            if postmaster.is_ready(folder.cluster, server.pid):
                self.port = port
                return True
            time.sleep(POLL_S)
        return False

    def _arguments(self, cluster: Path, port: int) -> list[str]:
        settings = [f"{name}={value}" for name, value in self._settings.items()]
        fixed = ["-D", str(cluster), "-h", "127.0.0.1", "-p", str(port), "-k", ""]  # no socket in any folder
        return [*fixed, *(word for setting in settings for word in ("-c", setting))]

    def _ends_by(self, request: signal.Signals, patience: float | None) -> bool:
        if self._server is None:
            return True
        self._server.send_signal(request)
        try:
            self._server.wait(patience)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _forget(self) -> None:
        self._server = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def _tail(log: Path) -> str:
    return "\n".join(log.read_text("utf-8", errors="replace").splitlines()[-TAIL_LINES:])
