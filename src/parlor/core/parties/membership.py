"""What people do about seats: take one, leave it, free another's, and say who leads."""

from dataclasses import dataclass
from datetime import datetime

from parlor.core.parties.access import (
    WRITE,
    admit,
    entered,
    must_be_welcome,
    must_see,
    person_of,
    standing_of,
)
from parlor.core.parties.events import (
    InvitationAccepted,
    MemberJoined,
    MemberLeft,
    MemberRoleChanged,
    OwnerChanged,
    PartyEnded,
)
from parlor.core.parties.model import Farewell, Membership, NotAMember, Party, PartyOwner, Role, Visibility
from parlor.core.parties.ports import Doors, PartyWork, Standing, Turnstile
from parlor.core.shared.actor import Actor
from parlor.core.shared.clock import Clock
from parlor.core.shared.errors import NotFound, UnknownUser
from parlor.core.shared.ids import PartyId, UserId
from parlor.core.shared.work import UnitOfWork


@dataclass(frozen=True, slots=True)
class JoinParty:
    """Anybody takes a seat in a public party, a guest in a private one; whoever has one keeps it.

    Whom the door refuses anyway is told so without a transaction; what counts is what the party's lock shows.
    """

    work: UnitOfWork[PartyWork]
    clock: Clock
    doors: Doors
    turnstile: Turnstile

    async def __call__(self, actor: Actor, party_id: PartyId, *, user_id: UserId | None = None) -> Membership:
        joiner = person_of(actor, user_id, "/user_id")
        now = self.clock()
        async with self.turnstile(party_id):
            seen = await self.doors.look(party_id, joiner, now)
            if seen is None:
                raise NotFound
            _knock(actor, *seen)
            async with self.work() as work:
                return await self._enter(work, actor, party_id, joiner, now)

    @staticmethod
    async def _enter(
        work: PartyWork, actor: Actor, party_id: PartyId, joiner: UserId, at: datetime
    ) -> Membership:
        if not await work.people.hold(joiner):
            raise UnknownUser("/user_id")
        party = await work.parties.get(party_id)
        _knock(actor, party, await work.parties.standing(party_id, joiner, at))
        return await work.memberships.find(party_id, joiner) or await seat(work, party, joiner, at)


def _knock(actor: Actor, party: Party, standing: Standing) -> None:
    """Raise NotFound, PermissionMissing, Banned or PartyFull for whom the party does not let in; members are in."""
    must_see(actor, party, standing)
    if standing.role is None:
        if party.visibility is Visibility.PRIVATE and not standing.invited:
            actor.must(WRITE)  # to see any party is not to sit in it
        must_be_welcome(standing)
        party.must_have_room()


@dataclass(frozen=True, slots=True)
class LeaveParty:
    """A member leaves. The owner's seat goes to the longest-serving officer, else member; the last one out ends it."""

    work: UnitOfWork[PartyWork]
    clock: Clock

    async def __call__(self, actor: Actor, party_id: PartyId, *, user_id: UserId | None = None) -> None:
        leaver = person_of(actor, user_id, "/user_id")
        now = self.clock()
        async with self.work() as work:
            party = await work.parties.get(party_id)
            must_see(actor, party, await standing_of(work, actor, party_id, now))
            membership = await work.memberships.find(party_id, leaver)
            if membership is None:
                raise NotAMember
            await let_go(work, party, membership, Farewell.LEFT, now)


@dataclass(frozen=True, slots=True)
class KickMember:
    """The owner frees anybody else's seat, an officer a plain member's."""

    work: UnitOfWork[PartyWork]
    clock: Clock

    async def __call__(self, actor: Actor, party_id: PartyId, user_id: UserId) -> None:
        admit(actor)
        now = self.clock()
        async with self.work() as work:
            scene = await entered(work, actor, party_id, now)
            membership = await _member(work, party_id, user_id)
            scene.must_outrank(membership.role)
            await let_go(work, scene.party, membership, Farewell.KICKED, now)


@dataclass(frozen=True, slots=True)
class ChangeRole:
    """The owner makes a member an officer, or an officer a member."""

    work: UnitOfWork[PartyWork]
    clock: Clock

    async def __call__(self, actor: Actor, party_id: PartyId, user_id: UserId, role: Role) -> None:
        admit(actor)
        async with self.work() as work:
            scene = await entered(work, actor, party_id, self.clock())
            membership = await _member(work, party_id, user_id)
            scene.must_own()
            if membership.role is Role.OWNER or role is Role.OWNER:
                raise PartyOwner
            if membership.role is not role:
                membership.role = role
                await work.memberships.save(membership)
                work.publish(MemberRoleChanged(party_id, user_id, role))


@dataclass(frozen=True, slots=True)
class HandOver:
    """The owner makes another member the owner, and is an officer from then on."""

    work: UnitOfWork[PartyWork]
    clock: Clock

    async def __call__(self, actor: Actor, party_id: PartyId, user_id: UserId) -> Party:
        admit(actor)
        now = self.clock()
        async with self.work() as work:
            active = await work.people.hold(user_id)
            scene = await entered(work, actor, party_id, now)
            scene.must_own()
            if not active:
                raise UnknownUser("/user_id")
            heir = await work.memberships.find(party_id, user_id)
            if heir is None:
                raise NotAMember
            if heir.role is not Role.OWNER:
                await self._step_down(work, scene.party)
                await crown(work, scene.party, heir, now)
        return scene.party

    @staticmethod
    async def _step_down(work: PartyWork, party: Party) -> None:
        former = await work.memberships.find(party.id, party.owner_id)
        assert former is not None, "the owner is a member"
        former.role = Role.OFFICER
        await work.memberships.save(former)


async def seat(work: PartyWork, party: Party, user_id: UserId, at: datetime) -> Membership:
    """Give somebody a seat, which answers their invitation. The party is locked. Raises PartyFull."""
    membership = party.take_seat(user_id, at)
    await work.memberships.add(membership)
    invitation = await work.invitations.pending(party.id, user_id)
    if invitation is not None:
        if invitation.settle(at):
            work.publish(InvitationAccepted(party.id, invitation.id, user_id))
        await work.invitations.save(invitation)
    work.publish(MemberJoined(party.id, user_id))
    return membership


async def let_go(work: PartyWork, party: Party, membership: Membership, why: Farewell, at: datetime) -> None:
    """Free a seat, and find who owns the party now; without anybody it ends. The party is locked."""
    await work.memberships.remove(membership)
    work.publish(MemberLeft(party.id, membership.user_id, why))
    if party.free_seat():
        await work.parties.remove(party.id)
        work.publish(PartyEnded(party.id))
    elif membership.role is Role.OWNER:
        heir = await work.memberships.heir(party.id)
        assert heir is not None, "somebody is left"
        await crown(work, party, heir, at)


async def crown(work: PartyWork, party: Party, heir: Membership, at: datetime) -> None:
    """Make a member the owner; the one before has stepped down or left."""
    party.belong_to(heir, at)
    await work.memberships.save(heir)
    await work.parties.save(party)
    work.publish(OwnerChanged(party.id, heir.user_id))


async def _member(work: PartyWork, party_id: PartyId, user_id: UserId) -> Membership:
    membership = await work.memberships.find(party_id, user_id)
    if membership is None:
        raise NotFound
    return membership
