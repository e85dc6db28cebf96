"""What happened in chats, read from the tables: for whoever sends it on."""

from collections.abc import Collection, Mapping, Sequence

from asyncpg import Record

from parlor.adapters.sql.chat_views import ME
from parlor.adapters.sql.engine import Database
from parlor.adapters.sql.message_rows import MESSAGE
from parlor.core.chats.changes import Change, ChangeKind
from parlor.core.chats.model import person
from parlor.core.chats.reading import Standing
from parlor.core.shared.actor import Actor
from parlor.core.shared.errors import NotFound
from parlor.core.shared.ids import ChatId

_STANDING = f"with {ME} select last_rev, last_seq from me, chat_heads where chat_id = $2"
_LAST_REVS = """
select h.chat_id, h.last_rev from chat_heads h join chats c on c.id = h.chat_id
 where h.chat_id = any($1::uuid[]) and c.ended_at is null"""
_SINCE = f"""
select rev, kind, message, user_id from (
    (select rev, case when deleted_at is not null then 'message.deleted'
                      when edited_at is not null then 'message.edited' else 'message.created' end as kind,
            {MESSAGE}::text as message, null::uuid as user_id
       from (select * from messages where chat_id = $1 and rev > $2 order by rev limit $3) written)
    union all
    (select rev, case when left_at is null then 'joined' else 'left' end, '', user_id
       from chat_members where chat_id = $1 and rev > $2 order by rev limit $3)
    union all
    (select forgotten_rev, 'forgotten', '', null from chat_heads where chat_id = $1 and forgotten_rev > $2)) changed
 order by rev limit $3"""


class SqlChatLog:
    """Port `ChatLog`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def standing(self, viewer: Actor, chat_id: ChatId) -> Standing:
        """Read the head."""
        async with self._database.session() as session:
            row = await session.fetchrow(_STANDING, person(viewer), chat_id)
        if row is None:
            raise NotFound
        return Standing(row["last_rev"], row["last_seq"])

    async def last_revs(self, chat_ids: Collection[ChatId]) -> Mapping[ChatId, int]:
        """Look up all of them by their keys."""
        async with self._database.session() as session:
            rows = await session.fetch(_LAST_REVS, list(chat_ids))
        return {ChatId(row["chat_id"]): row["last_rev"] for row in rows}

    async def since(self, chat_id: ChatId, rev: int, *, limit: int) -> Sequence[Change]:
        """Read both indexes on revs and the head, merged."""
        async with self._database.session() as session:
            rows = await session.fetch(_SINCE, chat_id, rev, limit)
        return [_change(chat_id, row) for row in rows]


def _change(chat_id: ChatId, row: Record) -> Change:
    kind = ChangeKind(row["kind"])
    return Change(chat_id, row["rev"], kind, message=row["message"].encode(), user_id=row["user_id"])
