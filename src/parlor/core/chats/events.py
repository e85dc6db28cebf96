"""What chats tell the others. Never a text."""

from dataclasses import dataclass
from uuid import UUID

from parlor.core.shared.events import Event
from parlor.core.shared.ids import ChatId, MessageId, PartyId, UserId


@dataclass(frozen=True, slots=True)
class ChatOpened(Event):
    """There is a chat; `kind` is `direct`, `group` or `party`."""

    name = "chats.chat_opened"
    chat_id: ChatId
    kind: str
    party_id: PartyId | None

    @property
    def subject(self) -> UUID:
        """The chat."""
        return self.chat_id


@dataclass(frozen=True, slots=True)
class ChatEnded(Event):
    """A chat is no more: it was deleted, its party ended, or its last member left."""

    name = "chats.chat_ended"
    chat_id: ChatId

    @property
    def subject(self) -> UUID:
        """The chat."""
        return self.chat_id


@dataclass(frozen=True, slots=True)
class MessagePosted(Event):
    """Somebody wrote into a chat. Told only with PARLOR_PUBLISH_MESSAGES; without an author it is the system's."""

    name = "chats.message_posted"
    chat_id: ChatId
    message_id: MessageId
    seq: int
    author_id: UserId | None

    @property
    def subject(self) -> UUID:
        """The chat."""
        return self.chat_id
