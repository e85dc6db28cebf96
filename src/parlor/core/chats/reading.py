"""Reading chats: what its members see, as JSON from the database."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, Self

from parlor.core.chats.changes import Change
from parlor.core.shared.actor import Actor
from parlor.core.shared.errors import Flaw, Invalid
from parlor.core.shared.ids import ChatId, MessageId, UserId
from parlor.core.shared.paging import Key, Page, PageRequest

MOST_EMBEDDED = 50
QUERY_LENGTH = (1, 200)


class Side(StrEnum):
    """On which side of a place to read."""

    BEFORE = "before"
    AFTER = "after"
    AROUND = "around"


class ContradictoryWindow(Invalid):
    """Ask for `before`, `after`, `around` or `cursor`: one of them."""

    code = "contradictory_window"

    def __init__(self, parameter: str) -> None:
        super().__init__()
        self.flaws = (Flaw(f"query:{parameter}", self.code, self.detail),)


@dataclass(frozen=True, slots=True)
class Window:
    """Which messages of a chat: so many before or after a seq (without it), or around it; before none: the newest."""

    limit: int
    side: Side = Side.BEFORE
    seq: int | None = None

    @classmethod
    def of(cls, limit: int, asked: Mapping[Side, int | None], key: Key | None = None) -> Self:
        """Read what a client asks for: one side, the key of a page before, or nothing. Raises ContradictoryWindow."""
        given = [(side, seq) for side, seq in asked.items() if seq is not None]
        if len(given) > 1:
            raise ContradictoryWindow(given[1][0])
        if key is not None and given:
            raise ContradictoryWindow("cursor")
        if key is not None:
            given.append((Side(key[0]), int(key[1])))
        return cls(limit, *given[0]) if given else cls(limit)


@dataclass(frozen=True, slots=True)
class Changed:
    """Messages that changed, as a JSON array; `next_rev` where more follow; how far the chat has come.

    `first_seq` is there where older messages have been forgotten since: those before it are no more.
    """

    items: bytes
    next_rev: int | None
    last_rev: int
    first_seq: int | None = None


class ChatViews(Protocol):
    """Chats as JSON, for those who are in them.

    Every method raises PersonRequired where no person looks, and NotFound where they are not in the chat right now.
    Messages stand in the order of their seq, unless said otherwise.
    """

    async def one(self, viewer: Actor, chat_id: ChatId, *, with_messages: int | None = None) -> bytes:
        """Show a chat; with so many of its last messages."""
        ...

    async def page(
        self, viewer: Actor, page: PageRequest, *, with_messages: int | None = None
    ) -> Page[bytes]:
        """List the viewer's chats, newest activity first: a message, or another title."""
        ...

    async def members(self, viewer: Actor, chat_id: ChatId, page: PageRequest) -> Page[bytes]:
        """List who is in a chat."""
        ...

    async def member(self, viewer: Actor, chat_id: ChatId, user_id: UserId) -> bytes:
        """Show one of them; raises NotFound where that one is not in the chat either."""
        ...

    async def message(self, viewer: Actor, chat_id: ChatId, message_id: MessageId) -> bytes:
        """Show a message, or what is left of it."""
        ...

    async def history(self, viewer: Actor, chat_id: ChatId, window: Window) -> Page[bytes]:
        """Read a part of what was written; the page's key names the side and the seq to go on from."""
        ...

    async def changes(self, viewer: Actor, chat_id: ChatId, *, since_rev: int, limit: int) -> Changed:
        """Read every message whose rev is greater, in the order of their revs."""
        ...


class ChatSearch(Protocol):
    """Finds messages in a chat."""

    async def __call__(self, viewer: Actor, chat_id: ChatId, query: str, page: PageRequest) -> Page[bytes]:
        """Find messages that have all words of the query, or words that begin with them, newest first.

        Where there is none, each word of four letters or more also stands for those that differ in one letter, as they
        occur in the chat's newest 2,000 messages. A statement that takes longer than 0.5 s raises DatabaseSlow.
        Raises PersonRequired, NotFound as the views do.
        """
        ...


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a chat has come."""

    last_rev: int
    last_seq: int


class ChatLog(Protocol):
    """What happened in chats, for whoever sends it on while it happens."""

    async def standing(self, viewer: Actor, chat_id: ChatId) -> Standing:
        """Tell it to somebody who is in the chat. Raises PersonRequired, NotFound."""
        ...

    async def last_revs(self, chat_ids: Collection[ChatId]) -> Mapping[ChatId, int]:
        """Tell how far each has come, in one statement; what has ended is not in the answer."""
        ...

    async def since(self, chat_id: ChatId, rev: int, *, limit: int) -> Sequence[Change]:
        """Read what changed later than `rev`, each message and each member once, under its newest rev, in order.

        A message counts as deleted if it is, else as edited if it was, else as created. That old messages have been
        forgotten counts as one change. Whether anybody may see it is for the caller to know.
        """
        ...
