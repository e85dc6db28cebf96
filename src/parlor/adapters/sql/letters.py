"""Dead letters in PostgreSQL, for commands and for readers."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Protocol
from uuid import UUID

from asyncpg import Record

from parlor.adapters.sql.driver import PooledConnection
from parlor.adapters.sql.engine import Database
from parlor.adapters.sql.views import after_key, json_object, moment, page_of, paged, same
from parlor.core.shared.actor import Actor
from parlor.core.shared.errors import NotFound
from parlor.core.shared.ids import DeadLetterId, TaskId
from parlor.core.shared.paging import Page, PageRequest
from parlor.core.tasks.model import MANAGE, DeadLetter

_ADD = """
insert into dead_letters (id, reason, detail, message_id, routing_key, headers, body, is_text, content_type, properties)
values ($1, $2, $3, $4, $5, $6::text::jsonb, $7, $8, $9, $10)
on conflict (id) do nothing"""
_GET = """
select id, reason, detail, message_id, routing_key, headers, body, content_type, properties, dead_at, replayed_at
  from dead_letters where id = $1 for no key update"""
# The row takes the message along, so that nothing which happens to the letter afterwards undoes the replay.
_SEND_AGAIN = """
with replayed as (update dead_letters set replayed_at = $3 where id = $1 returning *)
insert into replay_outbox (letter_id, queue, message_id, headers, body, content_type, properties)
select id, $2, message_id, headers, body, content_type, properties from replayed"""
_REMOVE = "delete from dead_letters where id = $1 returning id"
_HAS_ROW = "select true from tasks where id = $1"

_BASE64 = "translate(encode(body, 'base64'), E'\\n', '')"  # on one line: strict decoders refuse more
_LETTER = json_object(
    same("id", "reason", "detail", "message_id", "routing_key", "headers")
    | {"body": f"case when is_text then convert_from(body, 'UTF8') else {_BASE64} end"}
    | {"body_encoding": "case when is_text then 'utf-8' else 'base64' end", "content_type": "content_type"}
    | {name: moment(name) for name in ("dead_at", "replayed_at")}
)
_ONE = f"select {_LETTER}::text from dead_letters where id = $1"
_ROWS = """dead_letters where ($1::timestamptz is null or (dead_at, id) < ($1, $2))
                      and ($4::text is null or reason = $4)"""
_PAGE = paged(_LETTER, "dead_at", _ROWS, "$3::int")
# A message may be as large as the broker lets it: a page holds so many that the bodies before its last are within this.
PAGE_BYTES = 8 * 1024 * 1024
_FIT = f"""
select count(*) from (
    select sum(octet_length(body)) over (order by dead_at desc, id desc
                                         rows between unbounded preceding and 1 preceding) as before
      from (select * from {_ROWS} order by dead_at desc, id desc limit $3::int) newest) sized
 where coalesce(before, 0) < {PAGE_BYTES}"""
_IDS = """
select id, dead_at from dead_letters
 where ($1::timestamptz is null or (dead_at, id) < ($1, $2)) and ($4::text is null or reason = $4)
   and ($5 or replayed_at is null)
 order by dead_at desc, id desc limit $3"""


class LetterScope(Protocol):
    """What the repository needs of the work that it belongs to."""

    async def session(self) -> PooledConnection: ...


class SqlDeadLetters:
    """Port `DeadLetters`."""

    def __init__(self, work: LetterScope) -> None:
        self._work = work
        self.made_due = False

    async def add(self, letter: DeadLetter) -> None:
        """Insert, unless it is there."""
        session = await self._work.session()
        await session.execute(
            _ADD,
            letter.id,
            storable(letter.reason),
            storable(letter.detail),
            storable(letter.message_id),
            storable(letter.routing_key),
            json.dumps(_storable_header(letter.headers), default=str),
            letter.body,
            _is_text(letter.body),
            storable(letter.content_type),
            letter.properties,
        )

    async def get(self, letter_id: DeadLetterId) -> DeadLetter:
        """Find and lock."""
        row = await (await self._work.session()).fetchrow(_GET, letter_id)
        if row is None:
            raise NotFound
        return DeadLetter(**row)

    async def send_again(self, letter: DeadLetter) -> None:
        """Update, and copy the message into the outbox."""
        session = await self._work.session()
        await session.execute(_SEND_AGAIN, letter.id, letter.queue, letter.replayed_at)
        self.made_due = True

    async def remove(self, letter_id: DeadLetterId) -> None:
        """Delete."""
        if await (await self._work.session()).fetchval(_REMOVE, letter_id) is None:
            raise NotFound

    async def has_row(self, task_id: TaskId) -> bool:
        """Look the task up."""
        return await (await self._work.session()).fetchval(_HAS_ROW, task_id) is True


class SqlLetterViews:
    """Port `LetterViews`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def one(self, viewer: Actor, letter_id: DeadLetterId) -> bytes:
        """Read one row as JSON."""
        viewer.must(MANAGE)
        async with self._database.session() as session:
            view: str | None = await session.fetchval(_ONE, letter_id)
        if view is None:
            raise NotFound
        return view.encode()

    async def page(self, viewer: Actor, page: PageRequest, *, reason: str | None) -> Page[bytes]:
        """Read a page, newest first; shorter than asked for where the bodies are large."""
        viewer.must(MANAGE)
        after = after_key(page.after)
        async with self._database.session() as session:
            fit = await session.fetchval(_FIT, *after, page.limit, reason)
            return page_of(await session.fetchrow(_PAGE, *after, max(1, fit), reason))

    async def ids(
        self, viewer: Actor, page: PageRequest, *, reason: str | None, replayed: bool
    ) -> Page[Sequence[DeadLetterId]]:
        """Read a page of ids, newest first."""
        viewer.must(MANAGE)
        after = after_key(page.after)
        async with self._database.session() as session:
            rows = await session.fetch(_IDS, *after, page.limit + 1, reason, replayed)
        shown = rows[: page.limit]
        return Page([_id(row) for row in shown], _key(shown[-1]) if len(rows) > len(shown) else None)


def _id(row: Record) -> DeadLetterId:
    found: UUID = row["id"]
    return DeadLetterId(found)


def _key(row: Record) -> tuple[str, str]:
    return row["dead_at"].isoformat(), str(row["id"])


def storable(text: str | None) -> str | None:
    """Take out what PostgreSQL's text cannot hold: NUL, and halves of surrogate pairs."""
    return text and text.replace("\0", "").encode(errors="replace").decode()


def _storable_header(value: object) -> object:
    """Leave out what PostgreSQL's jsonb cannot hold either, wherever in a header it stands."""
    match value:
        case str():
            return storable(value)
        case float() if not math.isfinite(value):
            return str(value)
        case Mapping():
            return {storable(str(name)): _storable_header(inner) for name, inner in value.items()}
        case list():
            return [_storable_header(inner) for inner in value]
        case _:
            return value


def _is_text(body: bytes) -> bool:
    try:
        return "\0" not in body.decode()
    except UnicodeDecodeError:
        return False
