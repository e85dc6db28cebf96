"""Parties, who is in them, who is invited, and who is kept out."""

import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from parlor.core.shared.errors import Conflict, Forbidden
from parlor.core.shared.ids import ChatId, InvitationId, PartyId, UserId

NAME_LENGTH = (3, 64)
MAX_DESCRIPTION = 2000
CAPACITY = (1, 10_000)
DEFAULT_CAPACITY = 100
INVITATION_LIFE = timedelta(days=7)


class PartyFull(Conflict):
    """Every seat of this party is taken."""

    code = "party_full"


class CapacityBelowMembers(Conflict):
    """The party has more members than that."""

    code = "capacity_below_members"


class NotAMember(Conflict):
    """This needs somebody who is a member of the party."""

    code = "not_a_member"


class AlreadyMember(Conflict):
    """Whom you invite is a member already."""

    code = "already_member"


class PartyOwner(Conflict):
    """The owner can be neither kicked, banned nor given another role; hand the party over first."""

    code = "party_owner"


class RoleNeeded(Forbidden):
    """Your role in this party does not allow this."""

    code = "party_role_needed"


class Banned(Forbidden):
    """Who is banned from a party can neither join it nor be invited."""

    code = "banned"


class NotYourInvitation(Forbidden):
    """Only the guest answers an invitation."""

    code = "not_your_invitation"


class InvitationExpired(Conflict):
    """This invitation was not answered in time."""

    code = "invitation_expired"


class InvitationEnded(Conflict):
    """This invitation has been answered or taken back."""

    code = "invitation_ended"


class Visibility(StrEnum):
    """Who sees and joins a party: anybody signed in, or members and whom they invite."""

    PUBLIC = "public"
    PRIVATE = "private"


class Role(StrEnum):
    """What a member may do: everything; invite, kick and ban; or take part."""

    OWNER = "owner"
    OFFICER = "officer"
    MEMBER = "member"


class InvitationStatus(StrEnum):
    """What became of an invitation."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    REVOKED = "revoked"
    EXPIRED = "expired"


class Farewell(StrEnum):
    """Why somebody is no member any more."""

    LEFT = "left"
    KICKED = "kicked"
    BANNED = "banned"
    DELETED = "deleted"


def folded(name: str) -> str:
    """Answer a name in NFC without white space around it, and with one blank for each run of it inside."""
    return " ".join(unicodedata.normalize("NFC", name).split())


@dataclass(slots=True)
class Membership:
    """Somebody's seat in a party."""

    party_id: PartyId
    user_id: UserId
    role: Role
    joined_at: datetime


@dataclass(frozen=True, slots=True)
class Ban:
    """Somebody whom a party does not want; `banned_by` is nobody where a service did it."""

    party_id: PartyId
    user_id: UserId
    banned_by: UserId | None
    banned_at: datetime


@dataclass(frozen=True, slots=True)
class NewParty:
    """What somebody wants to found. The name is folded."""

    name: str
    description: str = ""
    visibility: Visibility = Visibility.PUBLIC
    capacity: int = DEFAULT_CAPACITY


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to become different; None stays as it is. The name is folded."""

    name: str | None = None
    description: str | None = None
    visibility: Visibility | None = None
    capacity: int | None = None


@dataclass(slots=True)
class Party:
    """Members around one owner, never more than `capacity`. `member_count` moves without the version."""

    id: PartyId
    name: str
    description: str
    visibility: Visibility
    capacity: int
    owner_id: UserId
    chat_id: ChatId
    created_at: datetime
    updated_at: datetime
    member_count: int = 1
    version: int = 1

    def change(self, changes: Changes, at: datetime) -> bool:
        """Take the changes over; whether there were any. Raises CapacityBelowMembers."""
        if changes.capacity is not None and changes.capacity < self.member_count:
            raise CapacityBelowMembers
        names = ("name", "description", "visibility", "capacity")
        news = {name: getattr(changes, name) for name in names}
        different = {name: new for name, new in news.items() if new not in (None, getattr(self, name))}
        for name, new in different.items():
            setattr(self, name, new)
        if different:
            self.updated_at = at
        return bool(different)

    def must_have_room(self) -> None:
        """Raise PartyFull where every seat is taken."""
        if self.member_count >= self.capacity:
            raise PartyFull

    def take_seat(self, user_id: UserId, at: datetime) -> Membership:
        """Seat somebody. Raises PartyFull."""
        self.must_have_room()
        self.member_count += 1
        return Membership(self.id, user_id, Role.MEMBER, at)

    def free_seat(self) -> bool:
        """Let somebody go; whether that was the last one."""
        self.member_count -= 1
        return self.member_count == 0

    def belong_to(self, heir: Membership, at: datetime) -> None:
        """Make a member the owner."""
        heir.role = Role.OWNER
        self.owner_id = heir.user_id
        self.updated_at = at


@dataclass(slots=True)
class Invitation:
    """An offer to one guest, who alone accepts or declines it, until it expires."""

    id: InvitationId
    party_id: PartyId
    inviter_id: UserId
    guest_id: UserId
    created_at: datetime
    expires_at: datetime
    status: InvitationStatus = InvitationStatus.PENDING

    def must_be_open(self, at: datetime) -> None:
        """Raise InvitationExpired or InvitationEnded where it can be answered no more."""
        if self.expired(at):
            raise InvitationExpired
        if self.status is not InvitationStatus.PENDING:
            raise InvitationEnded

    def decline(self, at: datetime) -> None:
        """Raises InvitationEnded, InvitationExpired."""
        self.must_be_open(at)
        self.status = InvitationStatus.DECLINED

    def revoke(self, at: datetime) -> bool:
        """Take it back; whether that changed anything. Raises InvitationEnded where the guest has answered.

        One that has expired stays so: that is why nobody can answer it.
        """
        if self.status is InvitationStatus.REVOKED or self.expired(at):
            return False
        if self.status is not InvitationStatus.PENDING:
            raise InvitationEnded
        self.status = InvitationStatus.REVOKED
        return True

    def expired(self, at: datetime) -> bool:
        """Whether it was not answered in time."""
        return self.status is InvitationStatus.EXPIRED or (
            self.status is InvitationStatus.PENDING and at >= self.expires_at
        )

    def settle(self, at: datetime) -> bool:
        """End it because its guest has a seat; whether it was still good."""
        self.status = InvitationStatus.EXPIRED if self.expired(at) else InvitationStatus.ACCEPTED
        return self.status is InvitationStatus.ACCEPTED
