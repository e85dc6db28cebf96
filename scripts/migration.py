"""Compares the tables with a database at the last migration, and writes the difference."""  # noqa: INP001 - a script

import os
import sys
import tempfile
from pathlib import Path

from alembic import command
from alembic.config import Config

from parlor.entrypoints.embedded.postgres import EmbeddedPostgres

ROOT = Path(__file__).parents[1]


def main(message: str) -> None:
    """Start a PostgreSQL of our own, bring it up to date, and let Alembic compare."""
    if not message.strip():
        sys.exit('parlor: say what changes: make migration m="add a table of films"')
    config = Config(ROOT / "alembic.ini")
    number = len(list((ROOT / "migrations/versions").glob("[0-9]*.py"))) + 1
    with tempfile.TemporaryDirectory(prefix="parlor-migration-") as folder:
        Path(folder).chmod(0o755)  # as root, the server runs as somebody else
        server = EmbeddedPostgres(Path(folder) / "postgres")
        try:
            os.environ["PARLOR_MIGRATE_URL"] = server.start()
            command.upgrade(config, "head")
            command.revision(config, message, autogenerate=True, rev_id=f"{number:04}")
        finally:
            server.stop()


main(sys.argv[1] if len(sys.argv) > 1 else "")
