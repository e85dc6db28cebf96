"""Chats in PostgreSQL, for commands."""

from collections.abc import Collection, Sequence
from typing import Protocol

from asyncpg import Record
from sqlalchemy import bindparam, insert, select, update

from parlor.adapters.sql.driver import PooledConnection
from parlor.adapters.sql.statements import Statement
from parlor.adapters.sql.tables import chats
from parlor.core.chats.changes import Change, ChangeKind
from parlor.core.chats.model import Chat, ChatKind, ChatMember
from parlor.core.shared.errors import Contended, NotFound
from parlor.core.shared.ids import ChatId, PartyId, UserId

COLUMNS = tuple(column.name for column in chats.c if column.name != "ended_at")

_ADD = Statement(insert(chats).values({name: bindparam(name) for name in COLUMNS}))
_BEGIN = "insert into chat_heads (chat_id, active_at) values ($1, $2)"
_SEAT = """
insert into chat_members (chat_id, user_id, role, joined_at, joined_seq, read_seq, rev)
select $1, user_id, role, $2, 0, 0, 0 from unnest($3::uuid[], $4::text[]) as seated (user_id, role)"""
_CHAT = select(*(chats.c[name] for name in COLUMNS)).where(chats.c.ended_at.is_(None))
_GET = Statement(_CHAT.where(chats.c.id == bindparam("chat_id")).with_for_update(key_share=True))
_OF_PARTY = Statement(_CHAT.where(chats.c.party_id == bindparam("party_id")).with_for_update(key_share=True))
_FIND_DIRECT = "select id from chats where direct_key = $1"
_SAVE = Statement(
    update(chats)
    .where(chats.c.id == bindparam("chat_id"), chats.c.version == bindparam("seen"))
    .values(title=bindparam("title"), updated_at=bindparam("updated_at"), version=chats.c.version + 1)
)
# Members first, then the head: the order in which whoever posts takes them.
_EMPTY = "delete from chat_members where chat_id = $1"
_END = """
with head as (update chat_heads set last_rev = last_rev + 1 where chat_id = $1 returning last_rev)
update chats set ended_at = clock_timestamp(), member_count = 0, version = version + 1
  from head where id = $1 returning last_rev"""
# What is left of chats that have ended, a batch at a time: first what was written, then the chats that are empty.
FORGET_MESSAGES = """
with gone as materialized (
    select m.chat_id, m.seq from chats c join messages m on m.chat_id = c.id
     where c.ended_at is not null limit 1000 for update of m skip locked),
forgotten as (delete from reactions r using gone where r.chat_id = gone.chat_id and r.seq = gone.seq)
delete from messages m using gone where m.chat_id = gone.chat_id and m.seq = gone.seq"""
FORGET_CHATS = """
with gone as materialized (
    select id from chats c
     where ended_at is not null and not exists (select from messages m where m.chat_id = c.id)
     limit 1000 for update skip locked),
forgotten as (delete from chat_heads h using gone where h.chat_id = gone.id)
delete from chats c using gone where c.id = gone.id"""
_ACTIVE = "select id from users where id = any($1::uuid[]) and status = 'active'"


class ChatScope(Protocol):
    """What the repositories need of the work that they belong to."""

    async def session(self) -> PooledConnection: ...
    def tell(self, change: Change) -> None: ...


class SqlChats:
    """Port `Chats`."""

    def __init__(self, work: ChatScope) -> None:
        self._work = work

    async def open(self, chat: Chat, members: Sequence[ChatMember]) -> None:
        """Insert the chat, its counter, and those who are in it."""
        session = await self._work.session()
        chat.member_count = len(members)
        await _ADD.run(session, **{name: getattr(chat, name) for name in COLUMNS})
        await session.execute(_BEGIN, chat.id, chat.created_at)
        seated = [member.user_id for member in members], [member.role for member in members]
        await session.execute(_SEAT, chat.id, chat.created_at, *seated)

    async def get(self, chat_id: ChatId) -> Chat:
        """Find and lock."""
        row = await _GET.row(await self._work.session(), chat_id=chat_id)
        if row is None:
            raise NotFound
        return _chat(row)

    async def find_direct(self, key: str) -> ChatId | None:
        """Find without a lock."""
        found = await (await self._work.session()).fetchval(_FIND_DIRECT, key)
        return found and ChatId(found)

    async def find_of_party(self, party_id: PartyId) -> Chat | None:
        """Find and lock."""
        row = await _OF_PARTY.row(await self._work.session(), party_id=party_id)
        return _chat(row) if row else None

    async def save(self, chat: Chat) -> None:
        """Store under the version that was read, and raise it."""
        session = await self._work.session()
        new = {"title": chat.title, "updated_at": chat.updated_at}
        if await _SAVE.run(session, chat_id=chat.id, seen=chat.version, **new) == 0:
            raise Contended("chats.version")
        chat.version += 1

    async def end(self, chat: Chat) -> None:
        """Let nobody be in it any more; workers delete the rest."""
        session = await self._work.session()
        await session.execute(_EMPTY, chat.id)
        rev = await session.fetchval(_END, chat.id)
        self._work.tell(Change(chat.id, rev, ChangeKind.ENDED))


class SqlChatPeople:
    """Port `ChatPeople`: a read of identity's table."""

    def __init__(self, work: ChatScope) -> None:
        self._work = work

    async def active(self, user_ids: Collection[UserId]) -> set[UserId]:
        """Look up all of them by their keys."""
        rows = await (await self._work.session()).fetch(_ACTIVE, list(user_ids))
        return {UserId(row["id"]) for row in rows}


def _chat(row: Record) -> Chat:
    values = {name: row[name] for name in COLUMNS}
    return Chat(**values | {"kind": ChatKind(row["kind"])})
