"""What is shipped: a wheel that works alone, pinned versions, and files that name nobody's machine."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.architecture.source import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINS = (ROOT / "constraints.txt").read_text().splitlines()
MADE_HERE = re.compile(
    r"(^|/)(\.git|\.venv|\.env|\.parlor|\.hypothesis|\.\w+_cache|__pycache__|build|dist)(/|$)"
)
SOMEBODY_S = {
    "a path of one machine": r"(?<![\w.:/<>])/(root|work|home/[a-z]+|Users/[A-Za-z]+)/",
    "a registry": r"\b(pypi|pythonhosted|npmjs|debian|ubuntu|conda|crates|golang)\.(org|io|com|net)\b",
    "an index": r"--(extra-)?index[-]url|--find[-]links",
}


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel and unpack it, as an installation does."""
    folder = tmp_path_factory.mktemp("wheel")
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
        cwd=ROOT,
        text=True,
        capture_output=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = folder.glob("parlor-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "unpacked")
    return folder / "unpacked"


def shipped() -> list[Path]:
    """Find what is in the repository, or will be; without one, whatever is here."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=False
    )
    if listed.returncode == 0:
        named = [ROOT / os.fsdecode(name) for name in listed.stdout.split(b"\0") if name]
    else:
        named = [path for path in ROOT.rglob("*") if not MADE_HERE.search(path.relative_to(ROOT).as_posix())]
    return [path for path in named if path.is_file()]


def named_in(text: str) -> list[str]:
    return [what for what, pattern in SOMEBODY_S.items() if re.search(pattern, text)]


def test_the_wheel_carries_the_migrations(unpacked: Path) -> None:
    carried = {
        path.relative_to(unpacked / "parlor").as_posix()
        for path in (unpacked / "parlor/migrations").rglob("*")
        if path.is_file()
    }
    versions = {f"migrations/versions/{path.name}" for path in (ROOT / "migrations/versions").glob("*.py")}
    assert versions
    assert carried == {"migrations/env.py", "migrations/script.py.mako", *versions}
    assert (unpacked / "parlor/alembic.ini").is_file()


def test_an_installed_package_finds_its_newest_migration(unpacked: Path) -> None:
    told = subprocess.run(
        [
            sys.executable,
            "-B",  # leaves no bytecode among what the next test counts
            "-c",
            "from parlor.adapters.sql import schema; print(schema.__file__, schema.newest())",
        ],
        cwd=unpacked,
        env=os.environ | {"PYTHONPATH": str(unpacked)},
        text=True,
        capture_output=True,
        check=True,
    ).stdout
    home, newest = told.split()
    assert Path(home).is_relative_to(unpacked)
    assert newest == max(path.name[:4] for path in (ROOT / "migrations/versions").glob("[0-9]*.py"))


def test_the_wheel_holds_source_only(unpacked: Path) -> None:
    kinds = {path.suffix for path in (unpacked / "parlor").rglob("*") if path.is_file()}
    assert kinds == {".py", ".txt", ".ini", ".mako", ".html", ".css", ".js", ".svg"}


def test_constraints_are_names_and_versions_in_order() -> None:
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9.+!]+", line) for line in PINS)
    assert sorted(PINS, key=lambda line: line.partition("==")[0].lower()) == PINS


def test_every_dependency_is_pinned_to_a_version_that_it_allows() -> None:
    pins = {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in PINS)}
    asked = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]
    wrong = [
        line
        for line in asked
        if not (one := Requirement(line)).specifier.contains(pins.get(canonicalize_name(one.name), "0.dev0"))
    ]
    assert wrong == []


def test_no_file_names_a_machine_or_a_registry() -> None:
    files = shipped()
    assert ROOT / "pyproject.toml" in files
    found = {str(path.relative_to(ROOT)): named_in(path.read_text(errors="replace")) for path in files}
    assert {path: what for path, what in found.items() if what} == {}


@pytest.mark.parametrize(
    "parts",
    [
        ("cd /", "root/parlor"),
        ("see /", "work/x"),
        ("/", "home/ada/x"),
        ("//pypi", ".org/"),
        ("--", "index-url"),
    ],
)
def test_a_planted_name_is_seen(parts: tuple[str, str]) -> None:
    assert named_in("".join(parts))
