"""Servers as our children: an account without privileges, a session of their own, an end with ours."""

import ctypes
import os
import pwd
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Self

# Below the ports that Linux and macOS lend to outgoing connections. A client that keeps trying to
# reach a stopped server could otherwise be lent the server's own port, and connect to itself.
PORTS = range(20_000, 32_768)
PR_SET_PDEATHSIG = 1
# What programs need in order to run. The rest of our environment has secrets in it.
HANDED_DOWN = ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LOCALE_ARCHIVE")
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None
# Linux ends a child with the thread that forked it: all are forked by one that lives as long as we do.
_spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")


@dataclass(frozen=True, slots=True)
class Account:
    """Whom a server runs as when we are root."""

    uid: int
    gid: int

    @classmethod
    def unprivileged(cls) -> Self | None:
        """Choose whom to run a server as: ourselves (None), unless we are root."""
        if os.geteuid() != 0:
            return None
        known = {entry.pw_name: entry for entry in pwd.getpwall()}
        entry = known.get("postgres") or known["nobody"]
        return cls(entry.pw_uid, entry.pw_gid)

    @classmethod
    def owning(cls, path: Path) -> Self:
        """Tell whose a file or folder is."""
        status = path.stat()
        return cls(status.st_uid, status.st_gid)

    def reaches(self, folder: Path) -> bool:
        """Ask the kernel, since access lists and the like do not show in a folder's mode."""
        return run(["/bin/sh", "-c", 'cd "$1"', "sh", str(folder)], account=self).returncode == 0

    def own(self, path: Path) -> None:
        """Give a file or folder, not what is in it, to this account."""
        os.chown(path, self.uid, self.gid, follow_symlinks=False)


def spawn(
    argv: Sequence[str],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    account: Account | None = None,
    at_our_death: signal.Signals = signal.SIGTERM,
) -> subprocess.Popen[bytes]:
    """Start a server whose output is appended to `log`. Ctrl-C in our terminal does not reach it."""
    return _spawner.submit(_fork, argv, log, env, account, at_our_death).result()


def run(
    argv: Sequence[str],
    *,
    account: Account | None = None,
    env: Mapping[str, str] | None = None,
    text: str = "",
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, with `text` as its input."""
    return subprocess.run(  # noqa: S603 - as in _fork
        argv,
        input=text,
        env=env or environment(),
        cwd="/",  # ours may be a folder that the account cannot enter
        capture_output=True,
        text=True,
        check=False,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
        preexec_fn=_tied_to_us(signal.SIGKILL),
    )


def environment() -> dict[str, str]:
    """Tell a child what it must know, and to speak English: we read its messages."""
    return {name: os.environ[name] for name in HANDED_DOWN if name in os.environ} | {"LC_ALL": "C"}


def passable(folder: Path) -> Path:
    """Make a folder that every account may walk through, whatever our umask says."""
    if not folder.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o711)
    return folder


def free_port() -> int:
    """Find a port of 127.0.0.1 that nobody listens on."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Find several, all different."""
    ports = random.SystemRandom().sample(PORTS, k=len(PORTS))  # seeded test runs would all pick the same
    return list(islice(filter(_is_free, ports), count))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _fork(
    argv: Sequence[str],
    log: Path,
    env: Mapping[str, str] | None,
    account: Account | None,
    at_our_death: signal.Signals,
) -> subprocess.Popen[bytes]:
    # Not through a link: we may be root in a folder that is somebody else's.
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    try:
        # What runs between fork and exec takes no lock of ours; the callers name the programs.
        return subprocess.Popen(  # noqa: S603 - the programs are ours, and no shell reads the arguments
            argv,
            env=env or environment(),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            start_new_session=True,
            preexec_fn=_tied_to_us(at_our_death),  # noqa: PLW1509 - between fork and exec it makes two system calls, and takes no lock
        )
    finally:
        os.close(output)


def _tied_to_us(at_our_death: signal.Signals) -> Callable[[], None] | None:
    """Make the child ask for a signal at our death; after the change of user, which would undo it."""
    libc, us = _libc, os.getpid()
    if libc is None:
        return None

    def tie() -> None:
        libc.prctl(PR_SET_PDEATHSIG, at_our_death.value, 0, 0, 0)
        if os.getppid() != us:  # we died before the child could ask
            os._exit(1)

    return tie
