"""Users as others see them: everybody a name, whoever manages them all there is."""

from uuid import UUID

from parlor.adapters.sql.engine import Database
from parlor.adapters.sql.views import json_object, moment, same
from parlor.core.identity.administration import Sought
from parlor.core.identity.model import folded
from parlor.core.shared.errors import NotFound
from parlor.core.shared.ids import UserId
from parlor.core.shared.paging import Page, PageRequest

# Of a shorter text the index knows only where a word begins with it.
SHORTEST_PART = 3

_USER = json_object(
    same("id", "email", "email_verified", "display_name")
    | {"roles": "array(select role from user_roles where user_id = id order by role)"}
    | same("status")
    | {name: moment(name) for name in ("created_at", "updated_at")}
    | same("version")
)
_PUBLIC = f"select {json_object(same('id', 'display_name'))}::text from users where id = $1"


class SqlUserViews:
    """Port `UserViews`. Ids are made in the order of time, so the newest come first by the primary key."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def public(self, user_id: UserId) -> bytes:
        """Read one row as JSON."""
        async with self._database.session() as session:
            view = await session.fetchval(_PUBLIC, user_id)
        if view is None:
            raise NotFound
        return str(view).encode()

    async def page(self, page: PageRequest, sought: Sought) -> Page[bytes]:
        """Read a page. Parsed anew each time: planned for this text and role, which may fit nobody or everybody."""
        sql, arguments = page_of_users(page, sought)
        async with self._database.session() as session:
            row = await (await session.prepare(sql, name="")).fetchrow(*arguments)
        assert row is not None, "an aggregate answers one row"
        return Page(row["items"].encode(), (str(row["last"]),) if row["more"] else None)


def page_of_users(page: PageRequest, sought: Sought) -> tuple[str, list[object]]:
    """Write the statement that an index answers, whatever is sought."""
    wheres: list[str] = []
    arguments: list[object] = [page.limit]
    if page.after is not None:
        arguments.append(UUID(page.after[0]))
        wheres.append(f"id < ${len(arguments)}")
    if sought.text is not None:
        arguments.append(_pattern(sought.text))
        wheres.append(f"search_key like ${len(arguments)}")
    if sought.role is not None:
        arguments.append(sought.role)
        wheres.append(f"id in (select user_id from user_roles where role = ${len(arguments)})")
    if sought.status is not None:
        wheres.append(f"status = '{sought.status.value}'")  # as it stands in a partial index's own condition
    sql = f"""
        with page as (
            select id, {_USER}::text as item, row_number() over (order by id desc) as n from (
                select * from users where {" and ".join(wheres) or "true"}
                 order by id desc limit $1::int + 1) newest)
        select '[' || coalesce(string_agg(item, ',' order by n) filter (where n <= $1), '') || ']' as items,
               max(n) > $1 as more, (array_agg(id) filter (where n = $1))[1] as last
          from page"""
    return sql, arguments


def _pattern(text: str) -> str:
    literal = folded(text).replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
    return f"%{literal}%" if len(literal) >= SHORTEST_PART else f"%\n{literal}%"
