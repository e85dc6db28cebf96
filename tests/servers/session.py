"""Servers that all processes of one test run share: each is started once, when it is first needed.

The process that begins the run holds a lock on a file as long as it lives. Whoever needs a server
first starts a supervisor for it; the supervisor waits for that lock, and so for the end of the run,
however it ends, and stops the server then.
"""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import IO

from tests.servers import KINDS, VARIABLES, NoServer
from tests.servers.processes import wait_until
from tests.servers.redis import DATABASES

FOLDER = "PARLOR_TEST_SERVERS_DIR"
OWNER = "owner"
ROOT = Path(__file__).parents[2]
START_PATIENCE_S = 900.0  # packages may have to be installed first
_owned: list[IO[str]] = []
_supervisors: list[subprocess.Popen[bytes]] = []


def open_session() -> None:
    """Begin a run, from `pytest_configure`; does nothing in a worker, and starts no server yet."""
    if FOLDER in os.environ:
        return
    folder = Path(tempfile.mkdtemp(prefix="parlor-tests-"))
    folder.chmod(0o711)
    owner = (folder / OWNER).open("w")
    fcntl.lockf(owner, fcntl.LOCK_EX)  # of this process alone: a forked child does not prolong it
    _owned.append(owner)
    os.environ[FOLDER] = str(folder)


def close_session() -> None:
    """Stop what the run has started, from `pytest_unconfigure`; does nothing in a worker."""
    if not _owned:
        return
    _owned.pop().close()
    folder = Path(os.environ.pop(FOLDER))
    for kind in KINDS:
        # Free when its supervisor has ended; the last one to end removes the folder.
        with suppress(FileNotFoundError), _locked(folder / f"{kind}.alive"):
            pass
    for supervisor in _supervisors:
        supervisor.wait()
    shutil.rmtree(folder, ignore_errors=True)


@cache
def shared_url(kind: str) -> str:
    """Find the run's server of a kind, or start it. Every pytest-xdist worker has a part of its own.

    For PostgreSQL that part is for the caller to make, by a database of the worker's own.
    """
    if url := os.environ.get(VARIABLES[kind]):
        return url
    if FOLDER not in os.environ:
        raise NoServer("pytest_configure has to call tests.servers.session.open_session()")
    folder = Path(os.environ[FOLDER])
    with _locked(folder / f"{kind}.lock"):
        answer = folder / f"{kind}.json"
        if not answer.exists():
            _supervise(folder, kind, answer)
        found: dict[str, str] = json.loads(answer.read_text())
    if "error" in found:
        raise NoServer(found["error"])
    return found["url"] + _part_of(kind, os.environ.get("PYTEST_XDIST_WORKER"))


def _part_of(kind: str, worker: str | None) -> str:
    parts = {
        "postgres": "",
        "redis": f"/{int(worker.removeprefix('gw')) % DATABASES if worker else 0}",
        "rabbitmq": f"/{worker or ''}",
    }
    return parts[kind]


def _supervise(folder: Path, kind: str, answer: Path) -> None:
    with (folder / f"{kind}.log").open("wb") as log:
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "tests.servers.supervise", str(folder), kind],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for us, and tells it through the lock
        )
    _supervisors.append(supervisor)
    has_ended = supervisor.poll
    wait_until(lambda: answer.exists() or has_ended() is not None, what=kind, patience=START_PATIENCE_S)
    if not answer.exists():
        raise NoServer(f"{kind}: {(folder / f'{kind}.log').read_text()[-4000:]}")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
