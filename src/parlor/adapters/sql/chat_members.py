"""Members of chats in PostgreSQL, for commands."""

from collections.abc import Sequence
from datetime import datetime

from asyncpg import Record
from sqlalchemy import bindparam, select

from parlor.adapters.sql.chats import ChatScope
from parlor.adapters.sql.statements import Statement
from parlor.adapters.sql.tables import chat_members
from parlor.core.chats.changes import Change, ChangeKind
from parlor.core.chats.model import Chat, ChatMember, ChatRole
from parlor.core.shared.errors import NotFound
from parlor.core.shared.ids import ChatId, UserId

COLUMNS = tuple(column.name for column in chat_members.c)

_PRESENT = select(chat_members).where(
    chat_members.c.chat_id == bindparam("chat_id"), chat_members.c.left_at.is_(None)
)
_GET = Statement(
    _PRESENT.where(chat_members.c.user_id == bindparam("user_id")).with_for_update(key_share=True)
)
_ALL = Statement(_PRESENT.order_by(chat_members.c.joined_at, chat_members.c.rev, chat_members.c.user_id))
_GROUPS = """
select chat_id from chat_members m join chats c on c.id = m.chat_id
 where m.user_id = $1 and m.left_at is null and c.kind = 'group' limit $2"""
_COUNT = "update chats set member_count = member_count + $2 where id = $1"
_NEXT = "with head as (update chat_heads set last_rev = last_rev + 1 where chat_id = $1 returning last_seq, last_rev)"
_JOIN = f"""
{_NEXT}
insert into chat_members as m (chat_id, user_id, role, joined_at, joined_seq, read_seq, rev)
select $1, $2, $3, $4, last_seq, last_seq, last_rev from head
on conflict (chat_id, user_id) do update
   set role = excluded.role, joined_at = excluded.joined_at, joined_seq = excluded.joined_seq,
       read_seq = excluded.read_seq, rev = excluded.rev, left_at = null
returning m.*"""
_LEAVE = f"""
{_NEXT}
update chat_members set left_at = $3, rev = head.last_rev from head
 where chat_id = $1 and user_id = $2 returning rev"""
_SAVE_ROLE = "update chat_members set role = $3 where chat_id = $1 and user_id = $2"
_READ = """
with me as materialized (
    select user_id from chat_members
     where chat_id = $1 and user_id = $2 and left_at is null for no key update),
moved as (
    update chat_members m set read_seq = least($3, h.last_seq)
      from me, chat_heads h
     where h.chat_id = $1 and m.chat_id = $1 and m.user_id = me.user_id and m.read_seq < least($3, h.last_seq)
    returning m.read_seq)
select count(*) as members, (select read_seq from moved) as moved_to from me"""


class SqlChatMembers:
    """Port `ChatMembers`."""

    def __init__(self, work: ChatScope) -> None:
        self._work = work

    async def get(self, chat_id: ChatId, user_id: UserId) -> ChatMember:
        """Find and lock."""
        member = await self.find(chat_id, user_id)
        if member is None:
            raise NotFound
        return member

    async def find(self, chat_id: ChatId, user_id: UserId) -> ChatMember | None:
        """Find and lock."""
        row = await _GET.row(await self._work.session(), chat_id=chat_id, user_id=user_id)
        return _member(row) if row else None

    async def present(self, chat_id: ChatId) -> Sequence[ChatMember]:
        """Read all of them."""
        return [_member(row) for row in await _ALL.rows(await self._work.session(), chat_id=chat_id)]

    async def groups_of(self, user_id: UserId, *, limit: int) -> Sequence[ChatId]:
        """Read some of them."""
        rows = await (await self._work.session()).fetch(_GROUPS, user_id, limit)
        return [ChatId(row["chat_id"]) for row in rows]

    async def join(self, chat: Chat, user_id: UserId, role: ChatRole, at: datetime) -> ChatMember | None:
        """Insert, or take the row of those who come back."""
        if await self.find(chat.id, user_id) is not None:
            return None
        session = await self._work.session()
        chat.member_count += 1
        await session.execute(_COUNT, chat.id, 1)
        row = await session.fetchrow(_JOIN, chat.id, user_id, role, at)
        assert row is not None, "a chat has a head"
        self._work.tell(Change(chat.id, row["rev"], ChangeKind.JOINED, user_id=user_id))
        return _member(row)

    async def leave(self, chat: Chat, member: ChatMember, at: datetime) -> None:
        """Note the departure."""
        session = await self._work.session()
        chat.member_count -= 1
        await session.execute(_COUNT, chat.id, -1)
        member.rev = await session.fetchval(_LEAVE, chat.id, member.user_id, at)
        member.left_at = at
        self._work.tell(Change(chat.id, member.rev, ChangeKind.LEFT, user_id=member.user_id))

    async def save_role(self, member: ChatMember) -> None:
        """Store it."""
        session = await self._work.session()
        await session.execute(_SAVE_ROLE, member.chat_id, member.user_id, member.role)

    async def read_up_to(self, chat_id: ChatId, user_id: UserId, seq: int) -> None:
        """Move the mark in one statement."""
        row = await (await self._work.session()).fetchrow(_READ, chat_id, user_id, seq)
        if row is None or not row["members"]:
            raise NotFound
        if row["moved_to"] is not None:
            self._work.tell(Change(chat_id, 0, ChangeKind.READ, user_id=user_id, seq=row["moved_to"]))


def _member(row: Record) -> ChatMember:
    values = {name: row[name] for name in COLUMNS}
    return ChatMember(**values | {"role": ChatRole(row["role"])})
