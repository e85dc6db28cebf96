"""Messages and reactions in PostgreSQL, for commands."""

from typing import Protocol

from asyncpg import Record
from sqlalchemy import bindparam, select

from parlor.adapters.sql.driver import PooledConnection
from parlor.adapters.sql.message_rows import MESSAGE, POST_FOR_THE_SYSTEM, created, found_by, post
from parlor.adapters.sql.statements import Statement
from parlor.adapters.sql.tables import chats, messages
from parlor.core.chats.changes import Change, ChangeKind
from parlor.core.chats.messages import Draft, Message, MessageKind, Posted
from parlor.core.shared.errors import NotFound
from parlor.core.shared.ids import ChatId, MessageId, UserId

COLUMNS = tuple(column.name for column in messages.c if column.name != "found_by")

_GET = Statement(
    select(*(messages.c[name] for name in COLUMNS))
    .where(
        messages.c.id == bindparam("message_id"),
        messages.c.chat_id == bindparam("chat_id"),
        select(chats.c.id)
        .where(chats.c.id == bindparam("chat_id"), chats.c.ended_at.is_(None))
        .correlate(None)
        .exists(),
    )
    .with_for_update(key_share=True, of=messages)
)
_SAVE = f"""
with head as (
    update chat_heads set last_rev = last_rev + 1 where chat_id = $1 returning last_rev),
saved as (
    update messages
       set rev = head.last_rev, text = $3, edited_at = $4, deleted_at = $5, reactions = $6,
           found_by = array_to_tsvector($7::text[])
      from head where chat_id = $1 and seq = $2
    returning messages.*)
select rev, {MESSAGE}::text as json from saved"""
_FORGET_REACTIONS = "delete from reactions where chat_id = $1 and seq = $2"
_REACT = """
insert into reactions (chat_id, seq, user_id, emoji) values ($1, $2, $3, $4) on conflict do nothing"""
_UNREACT = "delete from reactions where chat_id = $1 and seq = $2 and user_id = $3 and emoji = $4"


class MessageScope(Protocol):
    """What the repository needs of the work that it belongs to."""

    async def session(self) -> PooledConnection: ...
    def tell(self, change: Change) -> None: ...


class SqlMessages:
    """Port `Messages`."""

    def __init__(self, work: MessageScope) -> None:
        self._work = work

    async def get(self, chat_id: ChatId, message_id: MessageId) -> Message:
        """Find and lock."""
        row = await _GET.row(await self._work.session(), chat_id=chat_id, message_id=message_id)
        if row is None:
            raise NotFound
        return _message(row)

    async def save(self, message: Message, change: ChangeKind) -> None:
        """Store, with the chat's next rev."""
        session = await self._work.session()
        if message.deleted_at is not None:
            await session.execute(_FORGET_REACTIONS, message.chat_id, message.seq)
        row = await session.fetchrow(
            _SAVE,
            message.chat_id,
            message.seq,
            message.text,
            message.edited_at,
            message.deleted_at,
            message.reactions,
            None if message.text is None else found_by(message.chat_id, message.text),
        )
        assert row is not None, "its row is locked"
        message.rev = row["rev"]
        self._work.tell(Change(message.chat_id, message.rev, change, message=row["json"].encode()))

    async def post(self, draft: Draft) -> Posted:
        """Run the statement in this transaction."""
        posted = await post(await self._work.session(), POST_FOR_THE_SYSTEM, draft)
        self._work.tell(created(draft.chat_id, posted))
        return posted

    async def react(self, message: Message, user_id: UserId, emoji: str) -> bool:
        """Insert, unless it is there."""
        session = await self._work.session()
        return await session.execute(_REACT, message.chat_id, message.seq, user_id, emoji) == "INSERT 0 1"

    async def unreact(self, message: Message, user_id: UserId, emoji: str) -> bool:
        """Delete, if it is there."""
        session = await self._work.session()
        return await session.execute(_UNREACT, message.chat_id, message.seq, user_id, emoji) == "DELETE 1"


def _message(row: Record) -> Message:
    values = {name: row[name] for name in COLUMNS}
    return Message(**values | {"kind": MessageKind(row["kind"])})
