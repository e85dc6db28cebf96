"""What parties need from the world."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from parlor.core.parties.model import Ban, Invitation, InvitationStatus, Membership, Party, Role, Visibility
from parlor.core.shared.actor import Actor
from parlor.core.shared.errors import Unavailable
from parlor.core.shared.ids import InvitationId, PartyId, UserId
from parlor.core.shared.paging import Page, PageRequest
from parlor.core.shared.work import Work


class SearchTooBroad(Unavailable):
    """This search takes too long; ask for more letters, or fewer parties."""

    code = "search_too_broad"


@dataclass(frozen=True, slots=True)
class Standing:
    """What somebody is to a party: a member, a guest whose invitation still counts, banned, or a stranger."""

    role: Role | None = None
    invited: bool = False
    banned: bool = False


class Parties(Protocol):
    """Parties, for commands. Whoever changes anything about a party locks it first."""

    async def add(self, party: Party, owner: Membership) -> None:
        """Store it with its first member."""
        ...

    async def find(self, party_id: PartyId) -> Party | None:
        """Find without a lock."""
        ...

    async def get(self, party_id: PartyId) -> Party:
        """Raises NotFound. The row stays locked until the transaction ends."""
        ...

    async def save(self, party: Party) -> None:
        """Raise the version, and store all but `member_count`. Raises Contended when somebody else did first."""
        ...

    async def remove(self, party_id: PartyId) -> None:
        """Delete it with its memberships, invitations and bans."""
        ...

    async def standing(self, party_id: PartyId, user_id: UserId, at: datetime) -> Standing:
        """Find what somebody is to a party, without a lock."""
        ...


class Memberships(Protocol):
    """Who sits where. The party is locked while one of them changes."""

    async def find(self, party_id: PartyId, user_id: UserId) -> Membership | None: ...

    async def add(self, membership: Membership) -> None:
        """Store it, and count it. Raises PartyFull, also where the party's lock was forgotten."""
        ...

    async def save(self, membership: Membership) -> None:
        """Store the role. A party's owner steps down before the next one is stored."""
        ...

    async def remove(self, membership: Membership) -> None:
        """Delete it, and count it no more."""
        ...

    async def heir(self, party_id: PartyId) -> Membership | None:
        """Find who comes after the owner: the longest-serving officer, else member.

        Whose account is active comes before everybody whose is not.
        """
        ...

    async def ties(self, user_id: UserId, *, after: PartyId | None, limit: int) -> Sequence[PartyId]:
        """List parties, by their ids, in which somebody has a seat or a pending invitation."""
        ...


class Invitations(Protocol):
    """Invitations, for commands. One guest has one pending invitation to a party at most."""

    async def add(self, invitation: Invitation) -> None: ...

    async def find(self, invitation_id: InvitationId) -> Invitation | None:
        """Find without a lock: its party must be locked before it."""
        ...

    async def get(self, invitation_id: InvitationId) -> Invitation:
        """Raises NotFound. The row stays locked until the transaction ends."""
        ...

    async def pending(self, party_id: PartyId, guest_id: UserId) -> Invitation | None:
        """Find and lock the one that is stored as pending, though it may have expired."""
        ...

    async def save(self, invitation: Invitation) -> None:
        """Store the status."""
        ...


class Bans(Protocol):
    """Who is kept out. The party is locked while one of them changes."""

    async def add(self, ban: Ban) -> bool:
        """Store it; False where it stood already."""
        ...

    async def remove(self, party_id: PartyId, user_id: UserId) -> bool:
        """Delete it; False where there was none."""
        ...


class People(Protocol):
    """Everybody with an account."""

    async def known(self, user_id: UserId) -> bool:
        """Whether there is such a user, disabled or not."""
        ...

    async def hold(self, user_id: UserId) -> bool:
        """Whether the user is active, and stays so until the transaction ends. Held before any party is locked."""
        ...


class Doors(Protocol):
    """What somebody finds who comes to a party: a look without a transaction, so that most need none."""

    async def look(
        self, party_id: PartyId, user_id: UserId, at: datetime
    ) -> tuple[Party, Standing] | None: ...


class Turnstile(Protocol):
    """Lets in one after the other, in this process, who comes to the same party.

    Whoever waits for the party's lock would otherwise do so with a connection, until nobody else has one.
    """

    def __call__(self, party_id: PartyId) -> AbstractAsyncContextManager[None]:
        """Wait for up to 5 s. Raises Busy."""
        ...


class PartyWork(Work, Protocol):
    """A transaction of this context."""

    @property
    def parties(self) -> Parties: ...

    @property
    def memberships(self) -> Memberships: ...

    @property
    def invitations(self) -> Invitations: ...

    @property
    def bans(self) -> Bans: ...

    @property
    def people(self) -> People: ...


class Sort(StrEnum):
    """In which order parties are listed: by likeness, newest, largest, or name first."""

    BEST = "best"
    NEW = "new"
    MEMBERS = "members"
    NAME = "name"


@dataclass(frozen=True, slots=True)
class PartySearch:
    """Which parties are asked for. `mine` names whose; without `q` the best are the newest."""

    q: str | None = None
    mine: UserId | None = None
    visibility: Visibility | None = None
    has_room: bool = False
    sort: Sort | None = None

    @property
    def order(self) -> Sort:
        """The order that was asked for, or the usual one."""
        if self.q:
            return self.sort or Sort.BEST
        return Sort.NEW if self.sort in (None, Sort.BEST) else self.sort


class PartyViews(Protocol):
    """Parties as JSON, for readers: what the viewer may not see is not there."""

    async def one(self, viewer: Actor, party_id: PartyId) -> bytes:
        """Raises NotFound. A guest sees the party of a pending invitation, too."""
        ...

    async def search(self, viewer: Actor, search: PartySearch, page: PageRequest) -> Page[bytes]:
        """Raises SearchTooBroad after 500 ms. With `q` the first 1,000 candidates can be reached."""
        ...

    async def member(self, party_id: PartyId, user_id: UserId) -> bytes:
        """Raises NotFound. Who asks has been let in already."""
        ...

    async def members(self, viewer: Actor, party_id: PartyId, page: PageRequest) -> Page[bytes]:
        """List members, the longest-serving first. Raises NotFound, to guests of private parties too."""
        ...


class InvitationViews(Protocol):
    """Invitations as JSON, for readers; one that was not answered in time is shown as expired."""

    async def one(self, viewer: Actor, invitation_id: InvitationId) -> bytes:
        """Raises NotFound unless the viewer is its guest, its inviter, or leads the party."""
        ...

    async def page(
        self, guest_id: UserId, page: PageRequest, *, status: InvitationStatus | None
    ) -> Page[bytes]:
        """List a guest's invitations, newest first."""
        ...


class Seats(Protocol):
    """Who sits where right now, for other contexts' questions."""

    async def taken(self, party_id: PartyId, user_id: UserId) -> bool: ...
