"""Messages: what is written, and what may become of it."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from parlor.core.chats.model import ChatMember, ChatRole
from parlor.core.shared.errors import Conflict, Flaw, Forbidden, Invalid
from parlor.core.shared.ids import ChatId, MessageId, UserId

TEXT_LENGTH = (1, 4000)
CLIENT_ID_LENGTH = (1, 64)
MAX_EMOJI_BYTES = 32
MAX_EMOJIS = 32


class NotYourMessage(Forbidden):
    """Only its author may edit a message; its author, the chat's owner and moderators may delete it."""

    code = "not_your_message"


class MessageDeleted(Conflict):
    """The message has been deleted."""

    code = "message_deleted"


class ClientIdReused(Conflict):
    """Another message of yours in this chat has this `client_id`, with another text."""

    code = "client_id_reused"


class TooManyReactions(Conflict):
    """A message takes 32 different reactions at most."""

    code = "too_many_reactions"


class UnknownMessage(Invalid):
    """There is no such message in this chat to reply to."""

    code = "unknown_message"

    def __init__(self) -> None:
        super().__init__(flaws=[Flaw("/reply_to", self.code, "There is no such message in this chat.")])


class MessageKind(StrEnum):
    """A person's words, or the system's (a card that was drawn)."""

    USER = "user"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Draft:
    """What is to be written. Without an author it is the system's."""

    id: MessageId
    chat_id: ChatId
    author_id: UserId | None
    text: str
    reply_to: MessageId | None = None
    client_id: str | None = None

    @property
    def kind(self) -> MessageKind:
        """Whose words they are."""
        return MessageKind.SYSTEM if self.author_id is None else MessageKind.USER


@dataclass(frozen=True, slots=True)
class Posted:
    """The message as it is now, as JSON. `new` unless the same `client_id` had been sent before."""

    id: MessageId
    seq: int
    rev: int
    json: bytes
    new: bool
    text: str | None
    changed: bool = False

    def must_say(self, text: str) -> None:
        """Raise ClientIdReused where an earlier message, unchanged since, says something else."""
        if not self.changed and self.text != text:
            raise ClientIdReused


@dataclass(slots=True)
class Message:
    """One message: `seq` is its place for good, `rev` that of its newest change. Deleted, only its place stays."""

    id: MessageId
    chat_id: ChatId
    seq: int
    rev: int
    author_id: UserId | None
    kind: MessageKind
    text: str | None
    created_at: datetime
    reply_to: MessageId | None = None
    client_id: str | None = None
    edited_at: datetime | None = None
    deleted_at: datetime | None = None
    reactions: dict[str, int] = field(default_factory=dict[str, int])

    def edit(self, by: UserId, text: str, at: datetime) -> bool:
        """Say something else; tells whether that is news. Raises NotYourMessage, MessageDeleted."""
        if by != self.author_id:
            raise NotYourMessage
        self._must_be_there()
        if text == self.text:
            return False
        self.text, self.edited_at = text, at
        return True

    def must_yield_to(self, member: ChatMember) -> None:
        """Raise NotYourMessage unless the member wrote it or owns the chat."""
        if member.user_id != self.author_id and member.role is not ChatRole.OWNER:
            raise NotYourMessage

    def erase(self, at: datetime) -> bool:
        """Leave only its place; tells whether that is news."""
        if self.deleted_at is not None:
            return False
        self.text, self.deleted_at = None, at
        self.reactions.clear()
        return True

    def must_take(self, emoji: str) -> None:
        """Raise MessageDeleted, or TooManyReactions where it would be one of too many different ones."""
        self._must_be_there()
        if emoji not in self.reactions and len(self.reactions) >= MAX_EMOJIS:
            raise TooManyReactions

    def count(self, emoji: str, by: int) -> None:
        """Count a reaction in (1) or out (-1)."""
        counted = self.reactions.pop(emoji, 0) + by
        if counted > 0:
            self.reactions[emoji] = counted

    def _must_be_there(self) -> None:
        if self.deleted_at is not None:
            raise MessageDeleted
