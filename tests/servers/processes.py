"""Servers that run as processes of this machine, from the programs on it."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from parlor.entrypoints.embedded import children
from parlor.entrypoints.embedded.children import Account

PATIENCE_S = 60.0
POLL_S = 0.02


class ServerFailed(Exception):
    """A server that is here does not do what it is told; the message ends with its last words."""


class LocalProcess:
    """One process, in a temporary folder of its own."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        url: str,
        folder: Path,
        ready: Callable[[], bool],
        env: Mapping[str, str] | None = None,
        account: Account | None = None,
    ) -> None:
        self.url = url
        self.origin = argv[0]
        self._account = account
        self._argv = argv
        self._folder = folder
        self._ready = ready
        self._env = env
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        return self._child is not None and self._child.poll() is None

    @property
    def _log(self) -> Path:
        return self._folder / f"{Path(self.origin).name}.log"

    def start(self) -> None:
        if self.is_running:
            return
        self._child = children.spawn(
            self._argv, log=self._log, env=self._env, account=self._account, at_our_death=signal.SIGKILL
        )
        # Ready and still running: what answers on our port could be a stranger.
        wait_until(lambda: not self.is_running or self._ready(), what=self.origin)
        if not self.is_running:
            raise ServerFailed(f"{self.origin} ended:\n{self._log.read_text(errors='replace')[-4000:]}")

    def stop(self) -> None:
        self.resume()
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        if self._child is not None:
            freeze(self._child.pid)

    def resume(self) -> None:
        if self._child is not None:
            thaw(self._child.pid)

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _end(self, request: signal.Signals) -> None:
        if self._child is not None:
            self._child.send_signal(request)
            self._child.wait(PATIENCE_S)
            self._child = None


def temporary_folder(name: str) -> Path:
    """Make a folder that a server's own account may enter too."""
    folder = Path(tempfile.mkdtemp(prefix=f"parlor-{name}-"))
    folder.chmod(0o711)
    return folder


def wait_until(condition: Callable[[], bool], *, what: str, patience: float = PATIENCE_S) -> None:
    """Poll until it is so."""
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            raise ServerFailed(f"{what}: not ready after {patience:.0f} s")
        time.sleep(POLL_S)


def answers(port: int, hello: bytes, reply: bytes) -> bool:
    """Tell whether a server of the right kind is at home."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
        connection.sendall(hello)
        return connection.recv(len(reply)) == reply
    return False


def port_of(url: str) -> int:
    """Read where a server listens."""
    return urlsplit(url).port or 0


def is_listening(url: str) -> bool:
    """Tell whether anything takes connections there, be it frozen."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port_of(url))) == 0


def freeze(pid: int) -> None:
    """Stop a process and all below it, from the top: what is stopped starts no more children."""
    frozen: set[int] = set()
    while todo := {pid, *descendants(pid)} - frozen:
        for each in sorted(todo, key=lambda one: one != pid):
            _signal(each, signal.SIGSTOP)
        frozen |= todo


def thaw(pid: int) -> None:
    """Let a frozen process and all below it go on."""
    for each in (pid, *descendants(pid)):
        _signal(each, signal.SIGCONT)


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def descendants(pid: int) -> list[int]:
    """Find the processes below one."""
    parents = _parents()
    found = [pid]
    for ancestor in found:  # grows while it is read
        found += [child for child, parent in parents.items() if parent == ancestor]
    return found[1:]


def _parents() -> dict[int, int]:
    if not Path("/proc/self/stat").exists():
        listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True)
        return {int(child): int(parent) for child, parent in map(str.split, listed.stdout.splitlines())}
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # ended in between
            after_name = status.read_text(errors="replace").rpartition(")")[2].split()
            parents[int(status.parent.name)] = int(after_name[1])
    return parents
