"""What an export says of parties and chats."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from parlor.adapters.sql.engine import Database
from parlor.adapters.sql.export import PAGE, ListSection
from parlor.adapters.sql.message_rows import MESSAGE
from parlor.adapters.sql.views import json_object, moment, same
from parlor.core.shared.ids import UserId

_SEATS = """(
    select m.*, m.party_id as id, p.name from party_members m join parties p on p.id = m.party_id) seats"""
_CHATS = """(
    select m.*, c.id, c.kind, c.title from chat_members m join chats c on c.id = m.chat_id) chats"""
_IN = "select chat_id from chat_members where user_id = $1 order by chat_id"
_WRITTEN = f"""
select string_agg({MESSAGE}::text, ',' order by seq) as items, max(seq) as last, count(*) as found
  from (select * from messages
         where chat_id = $2 and seq > $3 and author_id = $1 order by seq limit {PAGE}) mine"""
_REACTION = json_object({"chat_id": "m.chat_id", "message_id": "m.id"} | same("emojis"))
_REACTED = f"""
select string_agg({_REACTION}::text, ',' order by m.seq) as items, max(m.seq) as last, count(*) as found
  from (select chat_id, seq, array_agg(emoji order by emoji) as emojis from reactions
         where chat_id = $2 and seq > $3 and user_id = $1 group by chat_id, seq order by seq limit {PAGE}) mine
  join messages m on m.chat_id = mine.chat_id and m.seq = mine.seq"""


def parties(database: Database) -> ListSection:
    """Where the user has a seat."""
    fields = same("party_id", "name", "role") | {"joined_at": moment("joined_at")}
    return ListSection("parties", database, json_object(fields), _SEATS, at="joined_at")


def invitations(database: Database) -> ListSection:
    """Where the user was asked to, as long as it is kept."""
    item = _invitation("inviter_id")
    return ListSection("invitations", database, item, "party_invitations", owner="guest_id")


def sent_invitations(database: Database) -> ListSection:
    """Whom the user asked, as long as it is kept."""
    item = _invitation("guest_id")
    return ListSection("sent_invitations", database, item, "party_invitations", owner="inviter_id")


def _invitation(other: str) -> str:
    fields = same("id", "party_id", other, "status")
    return json_object(fields | {name: moment(name) for name in ("created_at", "expires_at")})


def chats(database: Database) -> ListSection:
    """Where the user writes, or did, and how far they have read."""
    fields = same("chat_id", "kind", "title", "role", "read_seq") | {
        name: moment(name) for name in ("joined_at", "left_at")
    }
    return ListSection("chats", database, json_object(fields), _CHATS, at="joined_at")


def messages(database: Database) -> "AlongChats":
    """What the user wrote, and what is left of it where it was deleted."""
    return AlongChats("messages", database, _WRITTEN)


def reactions(database: Database) -> "AlongChats":
    """To which messages the user reacted, and how."""
    return AlongChats("reactions", database, _REACTED)


@dataclass(frozen=True, slots=True)
class AlongChats:
    """Port `ExportSection`: what the user left in chats, one after the other, in the order of its messages.

    The statement reads a page of the user `$1` in chat `$2` after message `$3`, along the chat's own order: an index by
    user would cost every message that is posted.
    """

    name: str
    database: Database
    sql: str

    async def __call__(self, user_id: UserId) -> AsyncIterator[bytes]:
        """Read the pages."""
        async with self.database.session() as session:
            chat_ids = [row["chat_id"] for row in await session.fetch(_IN, user_id)]
        opening = b"["
        for chat_id in chat_ids:
            seq, found = 0, PAGE
            while found == PAGE:
                async with self.database.session() as session:
                    row = await session.fetchrow(self.sql, user_id, chat_id, seq)
                assert row is not None
                seq, found = row["last"], row["found"]
                if found:
                    yield opening + row["items"].encode()
                    opening = b","
        yield b"[]" if opening == b"[" else b"]"
