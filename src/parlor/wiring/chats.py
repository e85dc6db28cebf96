"""Chats: what posts, what reads, and which contexts' facts they answer to."""

from parlor.adapters.sql.chat_log import SqlChatLog
from parlor.adapters.sql.chat_search import SqlChatSearch
from parlor.adapters.sql.chat_views import SqlChatViews
from parlor.adapters.sql.engine import Database
from parlor.adapters.sql.posting import SqlPosts
from parlor.adapters.sql.work import Hints, Reactions
from parlor.core.chats.live import Live
from parlor.core.chats.ports import Posts
from parlor.core.chats.reactions import (
    PostCard,
    end_party_chat,
    hand_over_party_chat,
    let_member_in,
    open_party_chat,
    retitle_party_chat,
    see_member_off,
)
from parlor.core.chats.reading import ChatLog, ChatSearch, ChatViews
from parlor.core.games.events import CardDrawn
from parlor.core.parties.events import (
    MemberJoined,
    MemberLeft,
    OwnerChanged,
    PartyChanged,
    PartyEnded,
    PartyFounded,
)
from parlor.core.shared.feed import Feed
from parlor.wiring.assembly import Assembly


def wire_chats(parts: Assembly, database: Database, hints: Hints, *, publish_messages: bool) -> None:
    """Put the adapters behind the ports that are not the unit of work's."""
    parts.add(Posts, SqlPosts(database, hints, publish=publish_messages))
    parts.add(ChatViews, SqlChatViews(database))
    parts.add(ChatSearch, SqlChatSearch(database))
    log = SqlChatLog(database)
    parts.add(ChatLog, log)
    parts.add(Live, Live(parts.get(Feed), log))


def chat_reactions(*, publish_messages: bool) -> Reactions:
    """List what chats do about the others' facts, in the same transaction."""
    return {
        PartyFounded: [open_party_chat],
        PartyChanged: [retitle_party_chat],
        MemberJoined: [let_member_in],
        MemberLeft: [see_member_off],
        OwnerChanged: [hand_over_party_chat],
        PartyEnded: [end_party_chat],
        CardDrawn: [PostCard(publish=publish_messages)],
    }
