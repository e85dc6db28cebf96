"""Posting a message by itself: one statement, one round trip, a transaction of its own."""

from parlor.adapters.sql.engine import Database
from parlor.adapters.sql.message_rows import POST, POST_AND_TELL, created, post
from parlor.adapters.sql.outbox import LANES
from parlor.adapters.sql.work import Hints
from parlor.core.chats.messages import Draft, Posted
from parlor.core.shared.ids import uuid7
from parlor.core.shared.tracing import current_trace


class SqlPosts:
    """Port `Posts`; told to subscribers too where that is asked for."""

    def __init__(self, database: Database, hints: Hints, *, publish: bool) -> None:
        self._database = database
        self._hints = hints
        self._publish = publish

    async def __call__(self, draft: Draft) -> Posted:
        """Run the statement, then tell the chat's listeners."""
        async with self._database.session() as session:
            if self._publish:
                told = draft.chat_id.int % LANES, uuid7(), current_trace()
                posted = await post(session, POST_AND_TELL, draft, *told)
            else:
                posted = await post(session, POST, draft)
        if posted.new:
            await self._hints.chats_changed([created(draft.chat_id, posted)])
            if self._publish:
                self._hints.facts_due()
        return posted
