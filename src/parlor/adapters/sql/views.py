"""Rows as the JSON that clients get, written by PostgreSQL itself: no entity, no copy."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import orjson
from asyncpg import Record

from parlor.adapters.sql.engine import Database
from parlor.adapters.sql.rendered import Rendered
from parlor.core.shared.actor import Actor
from parlor.core.shared.errors import NotFound
from parlor.core.shared.ids import TaskId
from parlor.core.shared.paging import Key, Page, PageRequest
from parlor.core.tasks.model import MANAGE, TaskStatus


def moment(column: str) -> str:
    """Write a moment as RFC 3339 in UTC with `Z` (json_agg alone would write +00:00)."""
    return f"to_char({column} at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"


def json_object(fields: dict[str, str]) -> str:
    """Build one JSON object of named expressions."""
    return "json_build_object(" + ", ".join(f"'{name}', {value}" for name, value in fields.items()) + ")"


def same(*names: str) -> dict[str, str]:
    """Show columns under their own names."""
    return {name: name for name in names}


TASK = json_object(
    same(
        "id",
        "kind",
        "status",
        "payload",
        "result",
        "error",
        "attempts",
        "max_attempts",
        "priority",
        "progress",
    )
    | {"run_at": moment("run_at"), "timeout_s": "timeout_s"}
    | {"requested_by": "json_build_object('kind', requester_kind, 'id', requester_id)"}
    | {name: moment(name) for name in ("created_at", "started_at", "finished_at")}
    | same("schedule_id", "version")
)
# The visibility is the WHERE: a manager, the person it is for, or the key or service that asked itself.
VISIBLE = "($1 or user_id = $2 or (user_id is null and requester_id = $3))"
_ONE = f"select {TASK}::text from tasks where {VISIBLE} and id = $4"
_SOME = f"""
select '[' || coalesce(string_agg({TASK}::text, ',' order by place), '') || ']' as items, count(*) as found
  from unnest($4::uuid[]) with ordinality as asked (id, place) join tasks using (id) where {VISIBLE}"""
_KEY = "id::text || version::text"
_BY_KEY = f"select {_KEY} as key, {TASK}::text as json from tasks where id = any($1::uuid[])"
_ENDED = f"select status in ('succeeded', 'failed', 'cancelled') from tasks where {VISIBLE} and id = $4"


def paged(item: str, moment: str, rows: str, limit: str) -> str:
    """Write the statement of a page, newest first: its JSON as one text, and the last key where more rows follow."""
    return f"""
        with page as (
            select ({item})::text as item, {moment} as moment, id, row_number() over () as n from (
                select * from {rows} order by {moment} desc, id desc limit {limit} + 1) newest)
        select '[' || coalesce(string_agg(item, ',' order by n) filter (where n <= {limit}), '') || ']' as items,
               max(n) > {limit} as more, max(moment) filter (where n = {limit}) as moment,
               (array_agg(id) filter (where n = {limit}))[1] as id
          from page"""


class SqlTaskViews:
    """Port `TaskViews`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._rendered = Rendered()

    async def one(self, viewer: Actor, task_id: TaskId) -> bytes:
        """Read one row as JSON."""
        return (await self._value(_ONE, viewer, task_id)).encode()

    async def some(self, viewer: Actor, task_ids: Sequence[TaskId]) -> bytes:
        """Read rows as a JSON array."""
        async with self._database.session() as session:
            row = await session.fetchrow(_SOME, *viewer_of(viewer), task_ids)
        if row is None or row["found"] != len(task_ids):
            raise NotFound
        return str(row["items"]).encode()

    async def ended(self, viewer: Actor, task_id: TaskId) -> bool:
        """Read whether it is over."""
        return await self._value(_ENDED, viewer, task_id) == "true"

    async def page(
        self, viewer: Actor, page: PageRequest, *, status: TaskStatus | None, kind: str | None
    ) -> Page[bytes]:
        """Read a page, newest first."""
        sql, arguments = _page_of_tasks(viewer, page, status, kind)
        async with self._database.session() as session:
            keys: list[str] = await session.fetchval(sql, *arguments)
            listed = keys[: page.limit]
            missing = self._rendered.missing(listed)
            read = await session.fetch(_BY_KEY, missing) if missing else []
        rows = self._rendered.rows(listed, {row["key"]: row["json"] for row in read})
        next_key = _key_of(rows[-1]) if rows and len(keys) > page.limit else None
        return Page(b"[" + b",".join(rows) + b"]", next_key)

    async def _value(self, sql: str, viewer: Actor, task_id: TaskId) -> str:
        async with self._database.session() as session:
            value = await session.fetchval(sql, *viewer_of(viewer), task_id)
        if value is None:
            raise NotFound
        return str(value).lower() if isinstance(value, bool) else str(value)


def viewer_of(viewer: Actor) -> tuple[object, object, object]:
    """Answer what `VISIBLE` compares with."""
    return viewer.may(MANAGE), viewer.user_id, viewer.id


def _page_of_tasks(
    viewer: Actor, page: PageRequest, status: TaskStatus | None, kind: str | None
) -> tuple[str, list[object]]:
    """Write the statement that one of the indexes answers: whose tasks is said without an OR."""
    wheres, arguments = _whose(viewer)
    for column, value in (("status", status), ("kind", kind)):
        if value is not None:
            arguments.append(value)
            wheres.append(f"{column} = ${len(arguments)}")
    if page.after is not None:
        arguments += after_key(page.after)
        wheres.append(f"(created_at, id) < (${len(arguments) - 1}, ${len(arguments)})")
    arguments.append(page.limit + 1)
    rows = f"tasks where {' and '.join(wheres) or 'true'} order by created_at desc, id desc"
    return f"select array(select {_KEY} from {rows} limit ${len(arguments)})", arguments


def _key_of(row: bytes) -> Key:
    shown = orjson.loads(row)
    return shown["created_at"], shown["id"]


def _whose(viewer: Actor) -> tuple[list[str], list[object]]:
    if viewer.may(MANAGE):
        return [], []
    if viewer.user_id is not None:
        return ["user_id = $1"], [viewer.user_id]
    return ["user_id is null and requester_id = $1"], [viewer.id]


def after_key(key: Key | None) -> tuple[object, object]:
    """Read the key of the row that a page follows; two nulls for the first page."""
    if key is None:
        return None, None
    return datetime.fromisoformat(key[0]), UUID(key[1])


def page_of(row: Record | None) -> Page[bytes]:
    """Read what a statement of `paged` answers."""
    assert row is not None, "an aggregate answers one row"
    items: str = row["items"]
    return Page(items.encode(), (row["moment"].isoformat(), str(row["id"])) if row["more"] else None)
