"""Sections of an export, read page by page."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from parlor.adapters.sql.api_keys import KEY
from parlor.adapters.sql.engine import Database
from parlor.adapters.sql.history import LOGIN
from parlor.adapters.sql.schedules import SCHEDULE
from parlor.adapters.sql.views import TASK, after_key, json_object, moment, page_of, paged, same
from parlor.core.shared.ids import UserId

PAGE = 200


@dataclass(frozen=True, slots=True)
class OneSection:
    """Port `ExportSection`: the one value that a statement answers for the user `$1`."""

    name: str
    database: Database
    sql: str

    async def __call__(self, user_id: UserId) -> AsyncIterator[bytes]:
        """Read it."""
        async with self.database.session() as session:
            value = await session.fetchval(self.sql, user_id)
        yield b"null" if value is None else str(value).encode()


@dataclass(frozen=True, slots=True)
class ListSection:
    """Port `ExportSection`: an array of the rows whose `owner` the user is, by their moment `at` and `id`."""

    name: str
    database: Database
    item: str
    table: str
    owner: str = "user_id"
    at: str = "created_at"

    async def __call__(self, user_id: UserId) -> AsyncIterator[bytes]:
        """Read the pages, newest first."""
        mine = f"{self.table} where {self.owner} = $1"
        first = paged(self.item, self.at, mine, f"{PAGE}")
        next_one = paged(self.item, self.at, f"{mine} and ({self.at}, id) < ($2, $3)", f"{PAGE}")
        opening, key = b"[", None
        while True:
            arguments = () if key is None else after_key(key)
            async with self.database.session() as session:
                page = page_of(await session.fetchrow(next_one if key else first, user_id, *arguments))
            yield opening + page.items[1:-1]
            opening, key = b",", page.next_key
            if key is None:
                break
        yield b"]"


def profile(database: Database) -> OneSection:
    """Whom others see, and what is known beside it."""
    fields = same("id", "email", "email_verified", "display_name", "status") | {
        name: moment(name) for name in ("created_at", "updated_at")
    }
    return OneSection("profile", database, f"select {json_object(fields)}::text from users where id = $1")


def roles(database: Database) -> OneSection:
    """What the user may do."""
    sql = """
    select coalesce(json_agg(role order by role), '[]')::text from user_roles where user_id = $1"""
    return OneSection("roles", database, sql)


def sessions(database: Database) -> ListSection:
    """Where the user logged in, as long as it is kept."""
    moments = ("created_at", "last_used_at", "expires_at", "ended_at")
    fields = same("id", "ip", "user_agent") | {name: moment(name) for name in moments}
    return ListSection("sessions", database, json_object(fields), "sessions")


def logins(database: Database) -> ListSection:
    """How the account was entered, or was not, as long as it is kept."""
    return ListSection("logins", database, LOGIN, "logins", at="at")


def api_keys(database: Database) -> ListSection:
    """The keys that the user made, without what their holders show."""
    return ListSection("api_keys", database, KEY, "api_keys", owner="maker_id")


def tasks(database: Database) -> ListSection:
    """What was done for the user."""
    return ListSection("tasks", database, TASK, "tasks")


def schedules(database: Database) -> ListSection:
    """What is done again and again for the user."""
    return ListSection("schedules", database, SCHEDULE, "schedules", owner="owner_id")
