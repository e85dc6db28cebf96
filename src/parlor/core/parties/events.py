"""What parties tell the others. Each fact is the party's own: a party's events come in the order of its commits."""

from dataclasses import dataclass
from uuid import UUID

from parlor.core.shared.events import Event
from parlor.core.shared.ids import ChatId, InvitationId, PartyId, UserId


@dataclass(frozen=True, slots=True)
class PartyFounded(Event):
    """There is a party. Its founder is its first member (no `member_joined` tells so) and `chat_id` its chat."""

    name = "parties.party_founded"
    party_id: PartyId
    owner_id: UserId
    name_: str
    visibility: str
    capacity: int
    chat_id: ChatId

    @property
    def subject(self) -> UUID:
        """The party."""
        return self.party_id


@dataclass(frozen=True, slots=True)
class PartyChanged(Event):
    """A party is called something else, or who may join it and how many has changed."""

    name = "parties.party_changed"
    party_id: PartyId
    name_: str
    visibility: str
    capacity: int

    @property
    def subject(self) -> UUID:
        """The party."""
        return self.party_id


@dataclass(frozen=True, slots=True)
class PartyEnded(Event):
    """A party is no more: it was deleted, or its last member left. Its members are not told one by one."""

    name = "parties.party_ended"
    party_id: PartyId

    @property
    def subject(self) -> UUID:
        """The party."""
        return self.party_id


@dataclass(frozen=True, slots=True)
class OwnerChanged(Event):
    """A party belongs to another member."""

    name = "parties.owner_changed"
    party_id: PartyId
    owner_id: UserId

    @property
    def subject(self) -> UUID:
        """The party."""
        return self.party_id


@dataclass(frozen=True, slots=True)
class MemberJoined(Event):
    """Somebody took a seat."""

    name = "parties.member_joined"
    party_id: PartyId
    user_id: UserId

    @property
    def subject(self) -> UUID:
        """The party."""
        return self.party_id


@dataclass(frozen=True, slots=True)
class MemberLeft(Event):
    """Somebody's seat is free again; `reason` is `left`, `kicked`, `banned` or `deleted` (the account was)."""

    name = "parties.member_left"
    party_id: PartyId
    user_id: UserId
    reason: str

    @property
    def subject(self) -> UUID:
        """The party."""
        return self.party_id


@dataclass(frozen=True, slots=True)
class MemberRoleChanged(Event):
    """A member is an `officer` now, or a `member` again."""

    name = "parties.member_role_changed"
    party_id: PartyId
    user_id: UserId
    role: str

    @property
    def subject(self) -> UUID:
        """The party."""
        return self.party_id


@dataclass(frozen=True, slots=True)
class UserBanned(Event):
    """Somebody may neither join nor be invited any more."""

    name = "parties.user_banned"
    party_id: PartyId
    user_id: UserId

    @property
    def subject(self) -> UUID:
        """The party."""
        return self.party_id


@dataclass(frozen=True, slots=True)
class BanLifted(Event):
    """Somebody who was banned may come again."""

    name = "parties.ban_lifted"
    party_id: PartyId
    user_id: UserId

    @property
    def subject(self) -> UUID:
        """The party."""
        return self.party_id


@dataclass(frozen=True, slots=True)
class InvitationSent(Event):
    """Somebody was invited."""

    name = "parties.invitation_sent"
    party_id: PartyId
    invitation_id: InvitationId
    inviter_id: UserId
    guest_id: UserId

    @property
    def subject(self) -> UUID:
        """The party."""
        return self.party_id


@dataclass(frozen=True, slots=True)
class InvitationAccepted(Event):
    """A guest accepted, and is a member."""

    name = "parties.invitation_accepted"
    party_id: PartyId
    invitation_id: InvitationId
    guest_id: UserId

    @property
    def subject(self) -> UUID:
        """The party."""
        return self.party_id


@dataclass(frozen=True, slots=True)
class InvitationDeclined(Event):
    """A guest would rather not."""

    name = "parties.invitation_declined"
    party_id: PartyId
    invitation_id: InvitationId
    guest_id: UserId

    @property
    def subject(self) -> UUID:
        """The party."""
        return self.party_id


@dataclass(frozen=True, slots=True)
class InvitationRevoked(Event):
    """An invitation was taken back."""

    name = "parties.invitation_revoked"
    party_id: PartyId
    invitation_id: InvitationId
    guest_id: UserId

    @property
    def subject(self) -> UUID:
        """The party."""
        return self.party_id
