"""A page's listings: read, and put in place in a copy of the repository, as its reader would."""

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.architecture.source import ROOT

NAMED = re.compile(r"^`([^`\n]+)`:\n\n```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COPIED = ("src", "tests", "migrations", "docs", "alembic.ini", "pyproject.toml", "Makefile")


@dataclass(frozen=True)
class Listing:
    """What the page says to write into a file: all of it, or a change."""

    path: str
    language: str
    text: str

    def put(self, folder: Path) -> None:
        """Do as the page says; raises where a file is there already, or a change does not fit in one place."""
        path = folder / self.path
        if self.language == "diff":
            path.write_text(changed(path.read_text(), self.text))
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x") as file:
                file.write(self.text)


def listings(page: Path) -> list[Listing]:
    """Read those that say where they go, in the page's order."""
    return [Listing(*named) for named in NAMED.findall(page.read_text())]


def changed(text: str, diff: str) -> str:
    """Apply each hunk at the only place where it fits; an empty line stands between two."""
    for hunk in diff.rstrip("\n").split("\n\n"):
        lines = hunk.split("\n")
        before = "".join(f"{line[1:]}\n" for line in lines if line[0] in " -")
        after = "".join(f"{line[1:]}\n" for line in lines if line[0] in " +")
        assert text.count(before) == 1, hunk
        text = text.replace(before, after)
    return text


def a_copy(folder: Path, listings: Sequence[Listing]) -> Path:
    """Copy the repository, as far as it is code, and follow the page."""
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder)
    for listing in listings:
        listing.put(folder)
    return folder


def run(folder: Path, tool: str, *arguments: str) -> str:
    """Run one of our tools in a copy, as `make` does in the repository; answers what it prints."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [Path(sys.executable).with_name(tool), *arguments],
        cwd=folder,
        env=inherited | {"PYTHONPATH": str(folder / "src")},
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def lines_of_code(text: str) -> int:
    """Count lines that are neither empty, nor a comment, nor a docstring."""
    told: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Expr(value=ast.Constant(value=str())):
                told.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
            case _:
                pass
    lines = enumerate(text.splitlines(), start=1)
    return sum(bool(line.strip()) and line.strip()[0] != "#" for number, line in lines if number not in told)
