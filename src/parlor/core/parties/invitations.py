"""What people do about invitations: send them, answer them, take them back."""

from dataclasses import dataclass
from datetime import datetime

from parlor.core.parties.access import (
    WRITE,
    Scene,
    admit,
    entered,
    must_be_welcome,
    role_of,
    standing_of,
)
from parlor.core.parties.events import InvitationDeclined, InvitationRevoked, InvitationSent
from parlor.core.parties.membership import seat
from parlor.core.parties.model import (
    INVITATION_LIFE,
    AlreadyMember,
    Invitation,
    Membership,
    NotYourInvitation,
    Party,
)
from parlor.core.parties.ports import PartyWork
from parlor.core.shared.actor import Actor, ActorKind
from parlor.core.shared.clock import Clock
from parlor.core.shared.errors import NotFound, UnknownUser
from parlor.core.shared.ids import InvitationId, PartyId, UserId, uuid7
from parlor.core.shared.work import OnceKey, UnitOfWork

CREATED = 201
FOUND = 200


@dataclass(frozen=True, slots=True)
class Sent:
    """Which invitation the guest has: a new one (201) or the pending one (200), `replayed` under a used key."""

    invitation_id: InvitationId
    status: int
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class InviteGuest:
    """The owner or an officer invites somebody; whoever has a pending invitation keeps that one."""

    work: UnitOfWork[PartyWork]
    clock: Clock

    async def __call__(
        self, actor: Actor, party_id: PartyId, guest_id: UserId, *, once: OnceKey | None = None
    ) -> Sent:
        admit(actor)
        now = self.clock()
        invitation_id = InvitationId(uuid7())
        async with self.work() as work:
            earlier = await work.once(once, status=CREATED, ids=[invitation_id])
            if earlier is not None:
                return Sent(InvitationId(earlier.ids[0]), earlier.status, replayed=True)
            party = await self._checked(work, actor, party_id, guest_id, now)
            pending = await self._pending(work, party_id, guest_id, now)
            if pending is not None:
                await work.amend(once, status=FOUND, ids=[pending.id])
                return Sent(pending.id, FOUND)
            inviter_id = actor.user_id if actor.kind is ActorKind.USER else None
            invitation = Invitation(
                id=invitation_id,
                party_id=party_id,
                inviter_id=inviter_id or party.owner_id,  # a service speaks for the party
                guest_id=guest_id,
                created_at=now,
                expires_at=now + INVITATION_LIFE,
            )
            await work.invitations.add(invitation)
            work.publish(InvitationSent(party_id, invitation_id, invitation.inviter_id, guest_id))
        return Sent(invitation_id, CREATED)

    async def _checked(
        self, work: PartyWork, actor: Actor, party_id: PartyId, guest_id: UserId, at: datetime
    ) -> Party:
        """Raises NotFound, RoleNeeded, UnknownUser, Banned, AlreadyMember."""
        active = await work.people.hold(guest_id)
        scene = await entered(work, actor, party_id, at)
        scene.must_lead()
        if not active:
            raise UnknownUser("/user_id")
        standing = await work.parties.standing(party_id, guest_id, at)
        must_be_welcome(standing)
        if standing.role is not None:
            raise AlreadyMember
        return scene.party

    @staticmethod
    async def _pending(
        work: PartyWork, party_id: PartyId, guest_id: UserId, at: datetime
    ) -> Invitation | None:
        """Find the one that may still be answered; one that has expired makes room for another."""
        pending = await work.invitations.pending(party_id, guest_id)
        if pending is None or not pending.expired(at):
            return pending
        pending.settle(at)
        await work.invitations.save(pending)
        return None


@dataclass(frozen=True, slots=True)
class AcceptInvitation:
    """The guest of a pending invitation becomes a member."""

    work: UnitOfWork[PartyWork]
    clock: Clock

    async def __call__(self, actor: Actor, invitation_id: InvitationId) -> Membership:
        admit(actor)
        now = self.clock()
        async with self.work() as work:
            offer = await _offer(work, actor, invitation_id, now)
            offer.must_be_for(actor)
            invitation = offer.invitation
            invitation.must_be_open(now)
            if not offer.guest_active:
                raise NotFound
            return await seat(work, offer.scene.party, invitation.guest_id, now)


@dataclass(frozen=True, slots=True)
class DeclineInvitation:
    """The guest of a pending invitation would rather not."""

    work: UnitOfWork[PartyWork]
    clock: Clock

    async def __call__(self, actor: Actor, invitation_id: InvitationId) -> None:
        admit(actor)
        now = self.clock()
        async with self.work() as work:
            offer = await _offer(work, actor, invitation_id, now)
            offer.must_be_for(actor)
            invitation = offer.invitation
            invitation.decline(now)
            await work.invitations.save(invitation)
            work.publish(InvitationDeclined(invitation.party_id, invitation_id, invitation.guest_id))


@dataclass(frozen=True, slots=True)
class RevokeInvitation:
    """Whoever sent an invitation, the owner or an officer takes it back; twice is once."""

    work: UnitOfWork[PartyWork]
    clock: Clock

    async def __call__(self, actor: Actor, invitation_id: InvitationId) -> None:
        admit(actor)
        now = self.clock()
        async with self.work() as work:
            offer = await _offer(work, actor, invitation_id, now)
            if not offer.is_of(actor):
                offer.scene.must_lead()
            await revoke(work, offer.invitation, now)


@dataclass(frozen=True, slots=True)
class Offer:
    """An invitation and its party, both locked, and whether the guest's account is active."""

    invitation: Invitation
    scene: Scene
    guest_active: bool

    def is_of(self, actor: Actor) -> bool:
        """Whether the actor sent it."""
        return actor.kind is ActorKind.USER and actor.user_id == self.invitation.inviter_id

    def is_for(self, actor: Actor) -> bool:
        """Whether the actor is the guest, or speaks for anybody."""
        guest = actor.kind is ActorKind.USER and actor.user_id == self.invitation.guest_id
        return guest or actor.may(WRITE)

    def must_be_for(self, actor: Actor) -> None:
        """Raise NotYourInvitation unless the actor is the guest, or speaks for anybody."""
        if not self.is_for(actor):
            raise NotYourInvitation


async def revoke(work: PartyWork, invitation: Invitation, at: datetime) -> None:
    """Take an invitation back. It and its party are locked. Raises InvitationEnded."""
    if invitation.revoke(at):
        await work.invitations.save(invitation)
        work.publish(InvitationRevoked(invitation.party_id, invitation.id, invitation.guest_id))


async def _offer(work: PartyWork, actor: Actor, invitation_id: InvitationId, at: datetime) -> Offer:
    """Lock the guest, the party, the invitation. Raises NotFound for whom it does not concern."""
    found = await work.invitations.find(invitation_id)
    if found is None:
        raise NotFound
    active = await work.people.hold(found.guest_id)
    party = await work.parties.get(found.party_id)
    scene = Scene(party, role_of(actor, await standing_of(work, actor, party.id, at)))
    offer = Offer(await work.invitations.get(invitation_id), scene, active)
    if not (offer.is_for(actor) or offer.is_of(actor) or scene.led):
        raise NotFound
    return offer
