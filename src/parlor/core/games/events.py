"""What games tell the others."""

from dataclasses import dataclass
from uuid import UUID

from parlor.core.shared.events import Event
from parlor.core.shared.ids import MessageId, PartyId, UserId


@dataclass(frozen=True, slots=True)
class CardDrawn(Event):
    """Somebody drew a card for a party; it stands in the party's chat, as the message of this id."""

    name = "games.card_drawn"
    party_id: PartyId
    user_id: UserId
    message_id: MessageId
    mode: str
    text: str

    @property
    def subject(self) -> UUID:
        """The party."""
        return self.party_id
