"""Every import contract holds, and each is seen to fail on a violation planted in a copy of the source."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.architecture.source import PACKAGE, ROOT

LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")
CONTRACTS = [
    contract["name"]
    for contract in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
]
# What each contract forbids: a module, and the line that it must not have.
PLANTED = {
    "Dependencies point inwards": [
        ("core/identity/use_cases.py", "import parlor.adapters.payloads"),
        ("core/shared/clock.py", "import parlor.entrypoints.logs"),
        ("adapters/payloads.py", "import parlor.container"),
        ("container.py", "from parlor.entrypoints import logs"),
    ],
    "Only the container meets adapters": [
        ("entrypoints/http/tasks.py", "from parlor.adapters.sql.engine import Database"),
        ("entrypoints/consume_worker/runner.py", "import parlor.adapters.rabbitmq.wire"),
    ],
    "Contexts meet through events only": [
        ("core/tasks/model.py", "from parlor.core.identity.model import User"),
        ("core/games/handlers.py", "import parlor.core.tasks.ports"),
    ],
    "Adapter families are independent": [
        ("adapters/sql/engine.py", "from parlor.adapters.redis.client import RedisLink"),
        ("adapters/memory/cache.py", "import parlor.adapters.caching.users"),
    ],
    "The client stands alone": [
        ("client/session.py", "from parlor.core.shared.ids import UserId"),
        ("client/errors.py", "import pydantic"),
    ],
}
CASES = [(name, *case) for name, cases in PLANTED.items() for case in cases]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Lend a copy of the source, with the contracts beside it."""
    shutil.copytree(PACKAGE, tmp_path / "src/parlor", ignore=shutil.ignore_patterns("__pycache__", ".*"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint(copy: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LINT_IMPORTS, "--no-cache", "--no-logo"],
        cwd=copy,
        env=os.environ | {"PYTHONPATH": str(copy / "src"), "COLUMNS": "200", "NO_COLOR": "1"},
        text=True,
        capture_output=True,
        check=False,
    )


def plant(copy: Path, module: str, line: str) -> None:
    path = copy / "src/parlor" / module
    path.write_text(f"{path.read_text()}\n{line}\n")


def test_every_contract_is_kept(copy: Path) -> None:
    done = lint(copy)
    assert done.returncode == 0, done.stdout
    assert f"{len(CONTRACTS)} kept, 0 broken" in done.stdout


@pytest.mark.parametrize(("contract", "module", "line"), CASES)
def test_a_planted_violation_breaks_its_contract(copy: Path, contract: str, module: str, line: str) -> None:
    plant(copy, module, line)
    done = lint(copy)
    assert done.returncode != 0
    assert f"{contract} BROKEN" in done.stdout


def test_another_context_s_events_may_be_imported(copy: Path) -> None:
    plant(copy, "core/tasks/model.py", "import parlor.core.identity.events")
    done = lint(copy)
    assert done.returncode == 0, done.stdout


def test_no_contract_goes_unproved() -> None:
    assert sorted(PLANTED) == sorted(CONTRACTS)
