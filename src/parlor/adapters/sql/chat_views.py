"""Chats as their members see them: one statement a view, its visibility in it."""

from typing import Any
from uuid import UUID

from asyncpg import Record

from parlor.adapters.sql.engine import Database
from parlor.adapters.sql.message_rows import MESSAGE
from parlor.adapters.sql.views import after_key, json_object, moment, page_of, paged, same
from parlor.core.chats.model import person
from parlor.core.chats.reading import Changed, Side, Window
from parlor.core.shared.actor import Actor
from parlor.core.shared.errors import NotFound
from parlor.core.shared.ids import ChatId, MessageId, UserId
from parlor.core.shared.paging import Page, PageRequest

# Whoever is in the chat $2 right now: nobody else gets a row of it.
ME = "me as (select from chat_members where user_id = $1 and chat_id = $2 and left_at is null)"
_MINE = """(
    select c.id, c.kind, c.title, c.party_id, c.member_count, c.created_at, c.version, h.last_seq, h.last_rev,
           h.last_seq - greatest(me.read_seq, h.first_seq - 1) as unread_count,
           greatest(c.updated_at, h.active_at) as updated_at
      from chat_members me join chats c on c.id = me.chat_id join chat_heads h on h.chat_id = c.id
     where me.user_id = $1 and me.left_at is null) mine"""
_CHAT = same("id", "kind", "title", "party_id", "member_count", "last_seq", "last_rev", "unread_count") | {
    name: moment(name) for name in ("created_at", "updated_at")
}
_MEMBER = json_object(
    {"user_id": "m.user_id", "display_name": "u.display_name", "role": "m.role"}
    | {"joined_at": moment("m.joined_at"), "read_seq": "m.read_seq"}
)
_MEMBERS = "chat_members m join users u on u.id = m.user_id where m.chat_id = $2 and m.left_at is null"
_ONE_MEMBER = f"with {ME} select {_MEMBER}::text from me, {_MEMBERS} and m.user_id = $3"
_PAGE_OF_MEMBERS = f"""
with {ME},
page as (
    select m.user_id, {_MEMBER}::text as item, row_number() over (order by m.user_id) as n
      from {_MEMBERS} and exists (select from me) and ($3::uuid is null or m.user_id > $3)
     order by m.user_id limit $4 + 1)
select (select count(*) from me) as me, count(*) > $4 as more, (array_agg(user_id order by n))[$4] as last,
       '[' || coalesce(string_agg(item, ',' order by n) filter (where n <= $4), '') || ']' as items
  from page"""
_ONE_MESSAGE = f"with {ME} select {MESSAGE}::text from me, messages where id = $3 and chat_id = $2"
_IN_CHAT = "from messages where chat_id = $2 and exists (select from me)"
_SIDES = {
    Side.BEFORE: f"select * {_IN_CHAT} and seq < $3 order by seq desc limit $4 + 1",
    Side.AFTER: f"select * {_IN_CHAT} and seq > $3 order by seq limit $4 + 1",
    # As many newer ones as belong to half a page, where there are as many; then down from there.
    Side.AROUND: f"""
        select * {_IN_CHAT} and seq <= coalesce((
            select max(seq) from (select seq {_IN_CHAT} and seq > $3 order by seq limit ($4 - 1) / 2) newer), $3)
         order by seq desc limit $4 + 1""",
}
_ORDERS = {Side.BEFORE: "seq desc", Side.AFTER: "seq", Side.AROUND: "seq desc"}
_HISTORY = {
    side: f"""
with {ME},
page as (
    select seq, {MESSAGE}::text as item, row_number() over (order by {_ORDERS[side]}) as n from ({rows}) side)
select (select count(*) from me) as me, count(*) > $4 as more,
       min(seq) filter (where n <= $4) as first, max(seq) filter (where n <= $4) as last,
       '[' || coalesce(string_agg(item, ',' order by seq) filter (where n <= $4), '') || ']' as items
  from page"""
    for side, rows in _SIDES.items()
}
_CHANGES = f"""
with {ME},
page as (
    select rev, {MESSAGE}::text as item, row_number() over (order by rev) as n
      from (select * {_IN_CHAT} and rev > $3 order by rev limit $4 + 1) changed)
select (select count(*) from me) as me, count(n) > $4 as more, max(rev) filter (where n <= $4) as last,
       '[' || coalesce(string_agg(item, ',' order by n) filter (where n <= $4), '') || ']' as items,
       h.last_rev, case when h.forgotten_rev > $3 then h.first_seq end as first_seq
  from chat_heads h left join page on true where h.chat_id = $2 group by h.chat_id"""
_NEWEST = 2**63 - 1


class SqlChatViews:
    """Port `ChatViews`, but for the search."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def one(self, viewer: Actor, chat_id: ChatId, *, with_messages: int | None = None) -> bytes:
        """Read one chat."""
        sql = f"select {_chat('$3', with_messages)}::text from (select * from {_MINE} where id = $2) newest"
        return await self._value(sql, person(viewer), chat_id, *_some(with_messages))

    async def page(
        self, viewer: Actor, page: PageRequest, *, with_messages: int | None = None
    ) -> Page[bytes]:
        """Read a page, the liveliest first."""
        sql, arguments = page_of_chats(person(viewer), page, with_messages)
        async with self._database.session() as session:
            return page_of(await session.fetchrow(sql, *arguments))

    async def members(self, viewer: Actor, chat_id: ChatId, page: PageRequest) -> Page[bytes]:
        """Read a page, in the order of the ids."""
        after = None if page.after is None else UUID(page.after[0])
        row = await self._row(_PAGE_OF_MEMBERS, person(viewer), chat_id, after, page.limit)
        return Page(row["items"].encode(), (str(row["last"]),) if row["more"] else None)

    async def member(self, viewer: Actor, chat_id: ChatId, user_id: UserId) -> bytes:
        """Read one of them."""
        return await self._value(_ONE_MEMBER, person(viewer), chat_id, user_id)

    async def message(self, viewer: Actor, chat_id: ChatId, message_id: MessageId) -> bytes:
        """Read one message."""
        return await self._value(_ONE_MESSAGE, person(viewer), chat_id, message_id)

    async def history(self, viewer: Actor, chat_id: ChatId, window: Window) -> Page[bytes]:
        """Read a range of the key, from its end on that side."""
        seq = (_NEWEST if window.side is Side.BEFORE else 0) if window.seq is None else window.seq
        row = await self._row(_HISTORY[window.side], person(viewer), chat_id, seq, window.limit)
        after = window.side is Side.AFTER
        key = (Side.AFTER, str(row["last"])) if after else (Side.BEFORE, str(row["first"]))
        return Page(row["items"].encode(), key if row["more"] else None)

    async def changes(self, viewer: Actor, chat_id: ChatId, *, since_rev: int, limit: int) -> Changed:
        """Read a range of the index on revs."""
        row = await self._row(_CHANGES, person(viewer), chat_id, since_rev, limit)
        next_rev = row["last"] if row["more"] else None
        return Changed(row["items"].encode(), next_rev, row["last_rev"], row["first_seq"])

    async def _row(self, sql: str, *arguments: object) -> Record:
        async with self._database.session() as session:
            row = await session.fetchrow(sql, *arguments)
        if row is None or not row["me"]:
            raise NotFound
        return row

    async def _value(self, sql: str, *arguments: object) -> bytes:
        async with self._database.session() as session:
            value = await session.fetchval(sql, *arguments)
        if value is None:
            raise NotFound
        return str(value).encode()


def page_of_chats(user_id: UserId, page: PageRequest, with_messages: int | None) -> tuple[str, list[Any]]:
    """Write the statement; a chat's activity is looked up at its head, so that whoever posts writes nothing else."""
    rows = f"{_MINE} where ($2::timestamptz is null or (updated_at, id) < ($2, $3::uuid))"
    sql = paged(_chat("$5", with_messages), "updated_at", rows, "$4::int")
    return sql, [user_id, *after_key(page.after), page.limit, *_some(with_messages)]


def _chat(most: str, with_messages: int | None) -> str:
    """Write a chat of `newest`, with its last messages where they are asked for; the version stands last."""
    messages = f"""(
        select coalesce(json_agg(item order by seq), '[]') from (
            select seq, {MESSAGE} as item from messages
             where chat_id = newest.id order by seq desc limit {most}::int) latest)"""
    embedded = {} if with_messages is None else {"messages": messages}
    return json_object(_CHAT | embedded | same("version"))


def _some(with_messages: int | None) -> list[int]:
    return [] if with_messages is None else [with_messages]
