"""The folder with the database in it: where it lies, who may enter it, and how it is made."""

import fcntl
import os
import secrets
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

from parlor.entrypoints.embedded import children
from parlor.entrypoints.embedded.binaries import Binaries, EmbeddedPostgresError
from parlor.entrypoints.embedded.children import Account

SUPERUSER = "postgres"
ROLE = "parlor"
DATABASE = "parlor"
# Text sorts by bytes, but letters beyond ASCII are letters: trigram search and lower() need that.
CHARACTER_TYPES = ("C.UTF-8", "en_US.UTF-8", "C")


class AlreadyRunning(EmbeddedPostgresError):
    """Another Parlor has this data open."""


class DidNotStart(EmbeddedPostgresError):
    """PostgreSQL said no; the message ends with its last words."""


@dataclass(frozen=True, slots=True)
class DataFolder:
    """`cluster/` belongs to the server's account, everything beside it to us alone."""

    path: Path
    account: Account | None

    @classmethod
    def at(cls, place: Path, state_dir: Path) -> Self:
        """Open a folder, or make it: as a link into `state_dir` where the server's account cannot go."""
        account = _account_for(place)
        place.parent.mkdir(parents=True, exist_ok=True)
        if account is not None and not place.exists() and not account.reaches(place.parent):
            with suppress(FileExistsError):  # a link whose target is gone is as good as a new one
                place.symlink_to(children.passable(state_dir) / f"postgres-{secrets.token_hex(8)}")
        path = children.passable(place.resolve())
        if account is not None and not account.reaches(path):
            raise EmbeddedPostgresError(
                f"PostgreSQL refuses to run as root, and user {account.uid} cannot enter {path}: "
                "move it, or open its parent folders (chmod a+x)."
            )
        return cls(path, account)

    @property
    def cluster(self) -> Path:
        """What PostgreSQL calls its data directory."""
        return self.path / "cluster"

    @property
    def log(self) -> Path:
        """What the server has said since its start."""
        return self.path / "server.log"

    @property
    def major(self) -> int | None:
        """The version that made the cluster, None where there is no cluster yet."""
        version = self.cluster / "PG_VERSION"
        return int(version.read_text("ascii")) if version.is_file() else None

    @property
    def password(self) -> str:
        """The secret of both roles."""
        return (self.path / "password").read_text("ascii")

    def lock(self) -> BinaryIO:
        """Keep other launchers out until the answer is closed; the kernel does that however we end."""
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        lock = os.fdopen(descriptor, "r+b", buffering=0)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = lock.read().decode("ascii") or "unknown"
            lock.close()
            raise AlreadyRunning(f"{self.path} is in use by another Parlor (process {owner}).") from None
        lock.truncate()
        lock.write(str(os.getpid()).encode("ascii"))
        return lock

    def put_old_log_aside(self) -> None:
        """Keep the last start's log: it may be what someone needs to read now."""
        with suppress(FileNotFoundError):
            self.log.replace(self.path / "server.old.log")

    def adopt(self) -> None:
        """Give the server what is root's own, as after a copy that root made."""
        if self.account is not None and self.cluster.stat().st_uid == 0:
            for path in (self.cluster, *self.cluster.rglob("*")):
                self.account.own(path)

    def make_cluster(self, binaries: Binaries, env: Mapping[str, str]) -> None:
        """Make it under another name first: what is called `cluster` is whole, even after a power cut."""
        for abandoned in self.path.glob("new-*"):
            shutil.rmtree(abandoned)
        draft = self.path / f"new-{secrets.token_hex(4)}"
        draft.mkdir(mode=0o700)
        try:
            self._initialise(draft, binaries, env)
            (draft / "cluster").rename(self.cluster)
            _flush(self.path)
        finally:
            shutil.rmtree(draft)

    def _initialise(self, draft: Path, binaries: Binaries, env: Mapping[str, str]) -> None:
        password = secrets.token_urlsafe(24)
        _write_secret(self.path / "password", password)
        _write_secret(draft / "password", password)
        if self.account is not None:
            self.account.own(draft / "password")
            self.account.own(draft)
        _initdb(draft, binaries, self.account, env)
        _make_role(draft / "cluster", password, binaries, self.account, env)


def _account_for(place: Path) -> Account | None:
    account, cluster = Account.unprivileged(), place / "cluster"
    if account is None or not cluster.exists() or cluster.stat().st_uid == 0:
        return account
    return Account.owning(cluster)


def _write_secret(path: Path, secret: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secret)
        file.flush()
        os.fsync(file.fileno())


def _flush(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def _initdb(draft: Path, binaries: Binaries, account: Account | None, env: Mapping[str, str]) -> None:
    asked = [
        binaries.initdb,
        "-D",
        str(draft / "cluster"),
        "-U",
        SUPERUSER,
        "--pwfile",
        str(draft / "password"),
    ]
    asked += ["-A", "scram-sha-256", "-E", "UTF8", "--locale=C", "--no-instructions"]
    for character_type in CHARACTER_TYPES:
        made = children.run([*asked, f"--lc-ctype={character_type}"], account=account, env=env)
        if made.returncode == 0:
            return
    raise DidNotStart(f"initdb could not make {draft}:\n{made.stderr}")


def _make_role(
    cluster: Path, password: str, binaries: Binaries, account: Account | None, env: Mapping[str, str]
) -> None:
    """Make the role that the service works as, which is no superuser, in a server of one session."""
    statements = (
        f"CREATE ROLE {ROLE} LOGIN CREATEDB PASSWORD '{password}'\nCREATE DATABASE {DATABASE} OWNER {ROLE}\n"
    )
    server = [binaries.postgres, "--single", "-D", str(cluster), "-c", "exit_on_error=true", SUPERUSER]
    made = children.run(server, account=account, env=env, text=statements)
    if made.returncode != 0:
        raise DidNotStart(f"PostgreSQL could not make its role:\n{made.stderr}")
