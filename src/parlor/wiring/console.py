"""The console's own way to rows; imported by the process that serves it only, since SQLAlchemy's ORM is large."""

from parlor.adapters.health import nothing
from parlor.adapters.sql.naming import grams_of, key_of
from parlor.adapters.sql.rows import ReadingRoom
from parlor.config import BadSettings, Settings
from parlor.wiring.assembly import Assembly


def wire_console(parts: Assembly, settings: Settings) -> ReadingRoom:
    """Make a place to read rows; its connections end with the process's other parts."""
    if settings.database is None:
        raise BadSettings("set DATABASE_URL first")
    room = ReadingRoom(settings.database, pgbouncer=settings.pgbouncer)
    parts.opens(nothing, room.close)
    return room


def name_grams(text: str) -> str:
    """Spell a part of a party's name as the index of names has it."""
    return grams_of(key_of(text))
