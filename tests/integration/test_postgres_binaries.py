"""Where the embedded PostgreSQL finds its programs, on machines that tests make up."""

import importlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from parlor.entrypoints.embedded import binaries
from parlor.entrypoints.embedded.binaries import NoPostgres
from parlor.entrypoints.embedded.children import Account
from tests.servers.processes import temporary_folder


@pytest.fixture
def place() -> Iterator[Path]:
    folder = temporary_folder("test")
    yield folder
    shutil.rmtree(folder)


def a_place_with(folder: Path, version: str, *, trigrams: bool = True) -> Path:
    """Programs as far as a look at them goes: an `initdb` that says what it is."""
    programs = folder / "bin"
    (folder / "share" / "extension").mkdir(parents=True)
    programs.mkdir()
    if trigrams:
        (folder / "share" / "extension" / "pg_trgm.control").touch()
    initdb = programs / "initdb"
    initdb.write_text(f"#!/bin/sh\necho VERSION={version} >&2\necho share_path={folder}/share >&2\n")
    initdb.chmod(0o755)
    return programs


def found(place: Path, *, pg_bin: Path | None = None, major: int | None = None) -> Path:
    return binaries.find(
        major=major, pg_bin=pg_bin, account=Account.unprivileged(), state_dir=place / "state"
    ).folder


@pytest.fixture
def nowhere(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Take PostgreSQL off this machine, and let a test put it where it wants."""
    monkeypatch.setattr(binaries, "USUAL_FOLDERS", (str(place / "usual" / "*" / "bin"),))
    monkeypatch.setattr(binaries, "WHEEL", "a_wheel_of_our_own")
    monkeypatch.setenv("PATH", str(place / "path"))
    monkeypatch.syspath_prepend(str(place / "site"))
    return place


def test_programs_are_taken_from_the_first_place_that_has_them(nowhere: Path) -> None:
    """Best is what was asked for, then what pg_config tells, the newest usual folder, the wheel."""
    wheel = nowhere / "site" / "a_wheel_of_our_own"
    in_the_wheel = a_place_with(wheel / "pginstall", "18.1")
    (wheel / "__init__.py").touch()
    importlib.invalidate_caches()
    assert found(nowhere) == in_the_wheel
    older = a_place_with(nowhere / "usual" / "9", "15.2")
    assert found(nowhere) == older
    newer = a_place_with(nowhere / "usual" / "16", "16.0")
    assert found(nowhere) == newer
    configured = a_place_with(nowhere / "configured", "15.0")
    (nowhere / "path").mkdir()
    (nowhere / "path" / "pg_config").write_text(f"#!/bin/sh\necho {configured}\n")
    (nowhere / "path" / "pg_config").chmod(0o755)
    assert found(nowhere) == configured
    asked_for = a_place_with(nowhere / "asked", "17rc1")
    assert found(nowhere, pg_bin=asked_for) == asked_for


def test_programs_that_would_not_do_are_passed_over(nowhere: Path) -> None:
    """An old version, one without trigram search, and a folder with nothing in it."""
    a_place_with(nowhere / "usual" / "14", "14.9")
    a_place_with(nowhere / "usual" / "18", "18.0", trigrams=False)
    (nowhere / "usual" / "17" / "bin").mkdir(parents=True)
    good = a_place_with(nowhere / "usual" / "15", "15.1")
    assert found(nowhere, pg_bin=nowhere / "missing") == good


def test_existing_data_is_opened_by_its_own_version(nowhere: Path) -> None:
    """Another one could not read it, be it newer or asked for."""
    a_place_with(nowhere / "usual" / "18", "18.0")
    own = a_place_with(nowhere / "usual" / "16", "16.3")
    asked_for = a_place_with(nowhere / "asked", "17.0")
    assert found(nowhere, pg_bin=asked_for, major=16) == own


@pytest.mark.parametrize("major", [None, 15])
def test_a_machine_without_postgresql_is_told_what_to_set(nowhere: Path, major: int | None) -> None:
    """One line, with the way out."""
    with pytest.raises(NoPostgres, match="DATABASE_URL") as told:
        found(nowhere, major=major)
    assert "\n" not in str(told.value)
