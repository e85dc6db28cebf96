"""Finding messages in a chat: one index over words, in which the chat itself is one."""

from collections.abc import Sequence
from dataclasses import dataclass

from parlor.adapters.sql.chat_views import ME
from parlor.adapters.sql.driver import PooledConnection
from parlor.adapters.sql.engine import Database
from parlor.adapters.sql.message_rows import CHAT_SIGN, MESSAGE, chat_word
from parlor.core.chats.model import person
from parlor.core.chats.searching import asked_for, meant_by
from parlor.core.shared.actor import Actor
from parlor.core.shared.errors import NotFound
from parlor.core.shared.ids import ChatId
from parlor.core.shared.paging import Page, PageRequest

LIMIT_MS = 500
RECENT = 2000
MOST_WORDS = 20_000

# Planned anew each time: how often a word occurs decides which index is the shorter way.
_BEGIN = f"begin read only; set local statement_timeout = {LIMIT_MS}; set local plan_cache_mode = force_custom_plan"
_MAY = f"with {ME} select count(*) from me"
_FIND = f"""
with page as (
    select seq, {MESSAGE}::text as item, row_number() over (order by seq desc) as n from (
        select * from messages where chat_id = $1 and found_by @@ $2::tsquery and seq < $3
         order by seq desc limit $4 + 1) found)
select count(*) > $4 as more, min(seq) filter (where n <= $4) as last,
       '[' || coalesce(string_agg(item, ',' order by n) filter (where n <= $4), '') || ']' as items
  from page"""
_WORDS = f"""
select distinct lexeme from (
    select found_by from messages where chat_id = $1 order by seq desc limit {RECENT}) recent, unnest(found_by)
 where not starts_with(lexeme, '{CHAT_SIGN}') limit {MOST_WORDS}"""
_NEWEST = 2**63 - 1

NOTHING = b"[]"
EXACTLY = "exactly"
NEARLY = "nearly"


@dataclass(frozen=True, slots=True)
class Hunt:
    """Where one search looks: in which chat, for how many, before which message, and how strictly."""

    session: PooledConnection
    chat_id: ChatId
    limit: int
    before: int = _NEWEST

    async def find(self, mode: str, terms: Sequence[Sequence[str]]) -> Page[bytes]:
        """Find messages that have one of each."""
        row = await self.session.fetchrow(
            _FIND, self.chat_id, _tsquery(self.chat_id, terms), self.before, self.limit
        )
        assert row is not None, "an aggregate answers one row"
        return Page(row["items"].encode(), (mode, str(row["last"])) if row["more"] else None)


class SqlChatSearch:
    """Port `ChatSearch`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def __call__(self, viewer: Actor, chat_id: ChatId, query: str, page: PageRequest) -> Page[bytes]:
        """Look for the words; where they are nowhere, for those that resemble them."""
        user_id, terms = person(viewer), asked_for(query)
        async with self._database.session() as session:
            await session.execute(_BEGIN)
            if not await session.fetchval(_MAY, user_id, chat_id):
                raise NotFound
            if not terms:
                return Page(NOTHING, None)
            if page.after is not None:
                mode, seq = page.after
                return await _go_on(Hunt(session, chat_id, page.limit, int(seq)), mode, terms)
            hunt = Hunt(session, chat_id, page.limit)
            found = await _go_on(hunt, EXACTLY, terms)
            return found if found.items != NOTHING else await _go_on(hunt, NEARLY, terms)


async def _go_on(hunt: Hunt, mode: str, terms: Sequence[str]) -> Page[bytes]:
    if mode == EXACTLY:
        return await hunt.find(mode, [[term] for term in terms])
    return await hunt.find(mode, await _meant(hunt.session, hunt.chat_id, terms))


async def _meant(session: PooledConnection, chat_id: ChatId, terms: Sequence[str]) -> list[list[str]]:
    """Beside each word, list beginnings that it resembles, as the newest messages have them."""
    known = [row["lexeme"] for row in await session.fetch(_WORDS, chat_id)]
    return [[term, *meant_by(term, known)] for term in terms]


def _tsquery(chat_id: ChatId, terms: Sequence[Sequence[str]]) -> str:
    """Ask for the chat, and one of each. Words hold no quotation mark: see `words_of`."""
    wanted = (" | ".join(map(_lexeme, forms)) for forms in terms)
    return " & ".join([_lexeme(chat_word(chat_id)), *(f"({one})" for one in wanted)])


def _lexeme(term: str) -> str:
    return f"'{term[:-1]}':*" if term.endswith("*") else f"'{term}'"
