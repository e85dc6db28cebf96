"""The core stands on the standard library alone."""

import ast
import sys

import pytest

from tests.architecture.source import PACKAGE, SRC, imported, modules

ALLOWED = [
    "import json",
    "import collections.abc",
    "from datetime import UTC, datetime",
    "from parlor.core.shared.ids import UserId",
    "from parlor.core import shared",
]
PLANTED = [
    "import httpx",
    "import os.path, sqlalchemy.sql",
    "from pydantic import BaseModel",
    "from parlor import config",
    "from parlor.adapters.sql import engine",
    "import parlor.container",
    "from parlor.corelike import shared",
    "from . import ports",
    "def late():\n    import redis",
    "try:\n    import orjson\nexcept ImportError:\n    import json",
]


def foreign(code: str) -> list[str]:
    """Name what a module of the core may not import."""
    return [name for name in imported(ast.parse(code)) if not _is_free(name)]


def _is_free(name: str) -> bool:
    return name.partition(".")[0] in sys.stdlib_module_names or f"{name}.".startswith("parlor.core.")


def test_the_core_imports_the_standard_library_and_itself_only() -> None:
    core = modules(PACKAGE / "core")
    assert len(core) > 20
    found = {str(path.relative_to(SRC)): foreign(path.read_text()) for path in core}
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize("code", PLANTED)
def test_a_planted_import_is_seen(code: str) -> None:
    assert foreign(code)


@pytest.mark.parametrize("code", ALLOWED)
def test_what_is_allowed_is_not_complained_about(code: str) -> None:
    assert foreign(code) == []
