"""Chats, their members and messages on the wire."""

import re
import unicodedata
from collections.abc import Sequence
from typing import Annotated, Literal
from uuid import UUID

from fastapi import Path, Query
from pydantic import AfterValidator, Field

from parlor.core.chats.messages import CLIENT_ID_LENGTH, MAX_EMOJI_BYTES, TEXT_LENGTH, MessageKind
from parlor.core.chats.model import (
    MAX_MEMBERS,
    TITLE_LENGTH,
    ChatChanges as Changes,
    ChatKind,
    ChatRole,
    NewChat,
)
from parlor.core.chats.reading import MOST_EMBEDDED, QUERY_LENGTH
from parlor.core.shared.ids import UserId
from parlor.entrypoints.http.schemas import Body, OneLine, Shown, ShownTime, Words, refused, visible

LARGEST = 2**63 - 1

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def _lines(text: str) -> str:
    if _CONTROL.search(text):
        raise refused("control_character")
    return visible(text)


def _emoji(text: str) -> str:
    normal = unicodedata.normalize("NFC", text)
    if len(normal.encode()) > MAX_EMOJI_BYTES:
        raise refused("too_many_bytes")
    return normal


Id = Annotated[UUID, Field(strict=False)]
Title = Annotated[Words, Field(min_length=TITLE_LENGTH[0], max_length=TITLE_LENGTH[1])]
MessageText = Annotated[
    str, AfterValidator(_lines), Field(min_length=TEXT_LENGTH[0], max_length=TEXT_LENGTH[1])
]
ClientId = Annotated[
    OneLine,
    Field(
        min_length=CLIENT_ID_LENGTH[0],
        max_length=CLIENT_ID_LENGTH[1],
        description="Chosen by the client: the same one again, in the same chat, is the same message.",
    ),
]
Emoji = Annotated[Words, AfterValidator(_emoji), Path(description="1 to 32 bytes of UTF-8.", examples=["👍"])]
WithMessages = Annotated[
    int | None, Query(ge=0, le=MOST_EMBEDDED, description="Embed so many of the last messages.")
]
Seq = Annotated[int | None, Query(ge=0, le=LARGEST, description="A message's `seq`.")]
SinceRev = Annotated[int, Query(ge=0, le=LARGEST, description="The last `rev` that one knows of; 0: none.")]
SearchWords = Annotated[
    Words,
    Query(
        min_length=QUERY_LENGTH[0],
        max_length=QUERY_LENGTH[1],
        description="Words, or their beginnings; all of them are looked for.",
    ),
]


class ChatBody(Body):
    """A chat to open: `direct` with one other person, or a `group`. The caller is in it without being named."""

    kind: Literal["direct", "group"]
    title: Title | None = None
    member_ids: Annotated[list[Id], Field(max_length=MAX_MEMBERS)]

    def new(self) -> NewChat:
        """Say it to the core."""
        return NewChat(ChatKind(self.kind), self.title, [UserId(one) for one in self.member_ids])


class ChatChanges(Body):
    """What is to become different; null takes the title away."""

    title: Title | None = None

    def changes(self) -> Changes:
        """Say it to the core; what was not sent stays."""
        return Changes(named="title" in self.model_fields_set, title=self.title)


class MemberBody(Body):
    """Whom to take in."""

    user_id: Id


class MessageBody(Body):
    """What to say: 1 to 4,000 characters, with line breaks and tabs, in reply to another message of the chat."""

    text: MessageText
    reply_to: Id | None = None
    client_id: ClientId | None = None


class MessageChanges(Body):
    """What to say instead."""

    text: MessageText


class ReadBody(Body):
    """The last message that one has read."""

    seq: Annotated[int, Field(ge=0, le=LARGEST)]


class Message(Shown):
    """A message. `seq` is its place, `rev` its newest change. Deleted, its text is null and nothing else is kept."""

    id: UUID
    chat_id: UUID
    seq: int
    rev: int
    author_id: UUID | None
    kind: MessageKind
    text: str | None
    reply_to: UUID | None
    client_id: str | None
    edited_at: ShownTime | None
    deleted_at: ShownTime | None
    reactions: dict[str, int]
    created_at: ShownTime


class Chat(Shown):
    """A chat as the caller sees it; `updated_at` is its last activity: a message, or another title."""

    id: UUID
    kind: ChatKind
    title: str | None
    party_id: UUID | None
    member_count: int
    last_seq: int
    last_rev: int
    unread_count: int
    created_at: ShownTime
    updated_at: ShownTime
    messages: list[Message] | None = Field(
        default=None, description="The last ones, where `with_messages` asked for them."
    )
    version: int


class ChatMember(Shown):
    """Somebody who is in a chat, and up to which message they have read it."""

    user_id: UUID
    display_name: str
    role: ChatRole
    joined_at: ShownTime
    read_seq: int


class ChatPage(Shown):
    """Chats, newest activity first."""

    items: Sequence[Chat]
    next_cursor: str | None


class ChatMemberPage(Shown):
    """Members of a chat."""

    items: Sequence[ChatMember]
    next_cursor: str | None


class MessagePage(Shown):
    """Messages; the cursor leads on in the same direction, and is null at its end."""

    items: Sequence[Message]
    next_cursor: str | None


class ChangedMessages(Shown):
    """Messages in the order of their newest changes. `next_rev` is the next page's `since_rev`, null on the last.

    `first_seq` stands there only where messages have been forgotten since for their age: those before it are no more.
    """

    items: Sequence[Message]
    next_rev: int | None
    last_rev: int
    first_seq: int | None = None
