"""The ports of parties in memory."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import datetime

from parlor.core.identity.model import UserStatus
from parlor.core.parties.model import Ban, Invitation, InvitationStatus, Membership, Party, PartyFull, Role
from parlor.core.parties.ports import Standing
from parlor.core.shared.errors import Contended, NotFound
from parlor.core.shared.ids import InvitationId, PartyId, UserId
from tests.fakes.identity import IdentityStore

Seat = tuple[PartyId, UserId]


@dataclass(slots=True)
class PartyStore:
    """Rows by their keys."""

    parties: dict[PartyId, Party] = field(default_factory=dict)
    members: dict[Seat, Membership] = field(default_factory=dict)
    invitations: dict[InvitationId, Invitation] = field(default_factory=dict)
    bans: dict[Seat, Ban] = field(default_factory=dict)

    def pending(self, party_id: PartyId, guest_id: UserId) -> Invitation | None:
        found = (
            one
            for one in self.invitations.values()
            if (one.party_id, one.guest_id, one.status) == (party_id, guest_id, InvitationStatus.PENDING)
        )
        return next(found, None)


class FakeParties:
    """Port Parties."""

    def __init__(self, store: PartyStore) -> None:
        self._store = store

    async def add(self, party: Party, owner: Membership) -> None:
        self._store.parties[party.id] = deepcopy(party)
        self._store.members[owner.party_id, owner.user_id] = deepcopy(owner)

    async def find(self, party_id: PartyId) -> Party | None:
        return deepcopy(self._store.parties.get(party_id))

    async def get(self, party_id: PartyId) -> Party:
        party = await self.find(party_id)
        if party is None:
            raise NotFound
        return party

    async def save(self, party: Party) -> None:
        stored = self._store.parties.get(party.id)
        if stored is None or stored.version != party.version:
            raise Contended("parties.version")
        party.version += 1
        self._store.parties[party.id] = replace(party, member_count=stored.member_count)

    async def remove(self, party_id: PartyId) -> None:
        store = self._store
        store.parties.pop(party_id, None)
        store.members = {key: one for key, one in store.members.items() if key[0] != party_id}
        store.bans = {key: one for key, one in store.bans.items() if key[0] != party_id}
        invitations = store.invitations.items()
        store.invitations = {key: one for key, one in invitations if one.party_id != party_id}

    async def standing(self, party_id: PartyId, user_id: UserId, at: datetime) -> Standing:
        membership = self._store.members.get((party_id, user_id))
        pending = self._store.pending(party_id, user_id)
        return Standing(
            membership.role if membership else None,
            invited=pending is not None and at < pending.expires_at,
            banned=(party_id, user_id) in self._store.bans,
        )


class FakeMemberships:
    """Port Memberships."""

    def __init__(self, store: PartyStore, identity: IdentityStore) -> None:
        self._store = store
        self._identity = identity

    async def find(self, party_id: PartyId, user_id: UserId) -> Membership | None:
        return deepcopy(self._store.members.get((party_id, user_id)))

    async def add(self, membership: Membership) -> None:
        party = self._store.parties[membership.party_id]
        if party.member_count >= party.capacity:
            raise PartyFull
        party.member_count += 1
        self._store.members[membership.party_id, membership.user_id] = deepcopy(membership)

    async def save(self, membership: Membership) -> None:
        self._store.members[membership.party_id, membership.user_id].role = membership.role
        owners = [one for one in self._of(membership.party_id) if one.role is Role.OWNER]
        assert len(owners) <= 1, "as the unique index has it"

    async def remove(self, membership: Membership) -> None:
        if self._store.members.pop((membership.party_id, membership.user_id), None):
            self._store.parties[membership.party_id].member_count -= 1

    async def heir(self, party_id: PartyId) -> Membership | None:
        return deepcopy(min(self._of(party_id), key=self._by_rank, default=None))

    async def ties(self, user_id: UserId, *, after: PartyId | None, limit: int) -> Sequence[PartyId]:
        seats = {party_id for party_id, member_id in self._store.members if member_id == user_id}
        offers = {
            one.party_id
            for one in self._store.invitations.values()
            if one.guest_id == user_id and one.status is InvitationStatus.PENDING
        }
        return sorted(one for one in seats | offers if after is None or one > after)[:limit]

    def _by_rank(self, one: Membership) -> tuple[bool, bool, datetime, UserId]:
        user = self._identity.users.get(one.user_id)
        active = user is not None and user.status is UserStatus.ACTIVE
        return not active, one.role is Role.MEMBER, one.joined_at, one.user_id

    def _of(self, party_id: PartyId) -> list[Membership]:
        return [one for one in self._store.members.values() if one.party_id == party_id]


class FakeInvitations:
    """Port Invitations."""

    def __init__(self, store: PartyStore) -> None:
        self._store = store

    async def add(self, invitation: Invitation) -> None:
        self._store.invitations[invitation.id] = deepcopy(invitation)

    async def find(self, invitation_id: InvitationId) -> Invitation | None:
        return deepcopy(self._store.invitations.get(invitation_id))

    async def get(self, invitation_id: InvitationId) -> Invitation:
        invitation = await self.find(invitation_id)
        if invitation is None:
            raise NotFound
        return invitation

    async def pending(self, party_id: PartyId, guest_id: UserId) -> Invitation | None:
        return deepcopy(self._store.pending(party_id, guest_id))

    async def save(self, invitation: Invitation) -> None:
        self._store.invitations[invitation.id].status = invitation.status


class FakeBans:
    """Port Bans."""

    def __init__(self, store: PartyStore) -> None:
        self._store = store

    async def add(self, ban: Ban) -> bool:
        return self._store.bans.setdefault((ban.party_id, ban.user_id), ban) is ban

    async def remove(self, party_id: PartyId, user_id: UserId) -> bool:
        return self._store.bans.pop((party_id, user_id), None) is not None


class FakePeople:
    """Port People."""

    def __init__(self, store: IdentityStore) -> None:
        self._store = store

    async def known(self, user_id: UserId) -> bool:
        return user_id in self._store.users

    async def hold(self, user_id: UserId) -> bool:
        user = self._store.users.get(user_id)
        return user is not None and user.status is UserStatus.ACTIVE


class FakeDoors:
    """Port Doors: what has been committed."""

    def __init__(self, parties: Callable[[], PartyStore]) -> None:
        self._parties = parties

    async def look(self, party_id: PartyId, user_id: UserId, at: datetime) -> tuple[Party, Standing] | None:
        parties = FakeParties(self._parties())
        party = await parties.find(party_id)
        return None if party is None else (party, await parties.standing(party_id, user_id, at))
