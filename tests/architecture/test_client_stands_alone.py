"""The client imports nothing of the server: neither does it say so, nor does it happen."""

import ast
import subprocess
import sys

import pytest

from tests.architecture.source import PACKAGE, SRC, imported, modules

LIBRARIES = {"httpx", "websockets"}
PLANTED = [
    "import fastapi",
    "from parlor import config",
    "from parlor.core.shared import ids",
    "import parlor.clientele",
]
ALLOWED = [
    "import asyncio",
    "import httpx",
    "from websockets.asyncio.client import connect",
    "import parlor.client.rest",
]
LOADED = "import sys; before = set(sys.modules); import parlor.client; print(*(set(sys.modules) - before))"


def foreign(code: str) -> list[str]:
    """Name what a module of the client may not import."""
    return [name for name in imported(ast.parse(code)) if not _is_free(name)]


def _is_free(name: str) -> bool:
    first = name.partition(".")[0]
    return first in sys.stdlib_module_names | LIBRARIES or f"{name}.".startswith("parlor.client.")


def test_it_names_two_libraries_and_itself_only() -> None:
    client = modules(PACKAGE / "client")
    assert len(client) > 5
    found = {str(path.relative_to(SRC)): foreign(path.read_text()) for path in client}
    assert {path: names for path, names in found.items() if names} == {}


def test_importing_it_loads_nothing_else_of_parlor() -> None:
    done = subprocess.run([sys.executable, "-c", LOADED], text=True, capture_output=True, check=True)
    loaded = done.stdout.split()
    of_parlor = {name for name in loaded if name.startswith("parlor")}
    assert of_parlor == {name for name in of_parlor if f"{name}.".startswith("parlor.client.")} | {"parlor"}
    servers = {
        "fastapi",
        "starlette",
        "uvicorn",
        "sqlalchemy",
        "asyncpg",
        "redis",
        "aiormq",
        "pydantic",
        "punq",
    }
    assert {name.partition(".")[0] for name in loaded} & servers == set()


@pytest.mark.parametrize("code", PLANTED)
def test_a_planted_import_is_seen(code: str) -> None:
    assert foreign(code)


@pytest.mark.parametrize("code", ALLOWED)
def test_what_is_allowed_is_not_complained_about(code: str) -> None:
    assert foreign(code) == []
