"""Keeps one shared server until the test run is over: `python -m tests.servers.supervise FOLDER KIND`."""

import fcntl
import json
import os
import shutil
import signal
import sys
from pathlib import Path

from tests.servers import KINDS, RabbitMQ, Server
from tests.servers.session import OWNER

# Workers that take the place of crashed ones get new names.
SPARE_WORKERS = 8


def main(folder: Path, kind: str) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with (folder / f"{kind}.alive").open("w") as alive:
        fcntl.flock(alive, fcntl.LOCK_EX)
        try:
            _serve(folder, kind)
        except Exception as error:
            _answer(folder, kind, {"error": str(error)})
            raise
        _tidy(folder, kind)


def _serve(folder: Path, kind: str) -> None:
    with KINDS[kind]() as server:
        _divide(server)
        _answer(folder, kind, {"url": server.url})
        with (folder / OWNER).open("r+") as owner:
            fcntl.lockf(owner, fcntl.LOCK_EX)  # granted when the run has ended


def _divide(server: Server) -> None:
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0"))
    if workers and isinstance(server, RabbitMQ):
        server.add_vhosts(f"gw{number}" for number in range(workers + SPARE_WORKERS))


def _answer(folder: Path, kind: str, answer: dict[str, str]) -> None:
    """All at once: who sees the file reads it."""
    draft = folder / f"{kind}.draft"
    draft.write_text(json.dumps(answer))
    draft.rename(folder / f"{kind}.json")


def _tidy(folder: Path, kind: str) -> None:
    """Leave nothing where a killed run could not tidy up itself."""
    for path in folder.glob(f"{kind}.*"):
        path.unlink()
    if [path.name for path in folder.iterdir()] == [OWNER]:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
