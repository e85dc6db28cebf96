"""What people do about those whom a party does not want: keep them out, and let them come again."""

from dataclasses import dataclass

from parlor.core.parties.access import admit, entered
from parlor.core.parties.events import BanLifted, UserBanned
from parlor.core.parties.invitations import revoke
from parlor.core.parties.membership import let_go
from parlor.core.parties.model import Ban, Farewell
from parlor.core.parties.ports import PartyWork
from parlor.core.shared.actor import Actor, ActorKind
from parlor.core.shared.clock import Clock
from parlor.core.shared.errors import NotFound
from parlor.core.shared.ids import PartyId, UserId
from parlor.core.shared.work import UnitOfWork


@dataclass(frozen=True, slots=True)
class BanUser:
    """The owner bans anybody, an officer whoever is no officer; seat and invitation go with the same commit."""

    work: UnitOfWork[PartyWork]
    clock: Clock

    async def __call__(self, actor: Actor, party_id: PartyId, user_id: UserId) -> None:
        admit(actor)
        now = self.clock()
        banned_by = actor.user_id if actor.kind is ActorKind.USER else None
        async with self.work() as work:
            scene = await entered(work, actor, party_id, now)
            membership = await work.memberships.find(party_id, user_id)
            scene.must_outrank(membership.role if membership else None)
            if not await work.people.known(user_id):
                raise NotFound
            if membership is not None:
                await let_go(work, scene.party, membership, Farewell.BANNED, now)
            invitation = await work.invitations.pending(party_id, user_id)
            if invitation is not None:
                await revoke(work, invitation, now)
            if await work.bans.add(Ban(party_id, user_id, banned_by, now)):
                work.publish(UserBanned(party_id, user_id))


@dataclass(frozen=True, slots=True)
class LiftBan:
    """The owner or an officer lets somebody come again; who is not banned may come already."""

    work: UnitOfWork[PartyWork]
    clock: Clock

    async def __call__(self, actor: Actor, party_id: PartyId, user_id: UserId) -> None:
        admit(actor)
        async with self.work() as work:
            scene = await entered(work, actor, party_id, self.clock())
            scene.must_lead()
            if await work.bans.remove(party_id, user_id):
                work.publish(BanLifted(party_id, user_id))
