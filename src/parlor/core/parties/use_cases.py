"""What people do with a party as a whole: found it, change it, end it."""

from dataclasses import dataclass

from parlor.core.parties.access import MANAGE, WRITE, admit, entered, person_of
from parlor.core.parties.events import PartyChanged, PartyEnded, PartyFounded
from parlor.core.parties.model import Changes, Membership, NewParty, Party, Role
from parlor.core.parties.ports import PartyWork
from parlor.core.shared.actor import Actor
from parlor.core.shared.clock import Clock
from parlor.core.shared.errors import UnknownUser
from parlor.core.shared.ids import ChatId, PartyId, UserId, uuid7
from parlor.core.shared.preconditions import ANY_VERSION, Expected
from parlor.core.shared.work import OnceKey, UnitOfWork

CREATED = 201


@dataclass(frozen=True, slots=True)
class Founded:
    """What became of a new party: itself, or under a used idempotency key the id of the first one."""

    party_id: PartyId
    party: Party | None = None


@dataclass(frozen=True, slots=True)
class FoundParty:
    """Anybody founds a party, owns it, and is its first member; its chat exists with the same commit."""

    work: UnitOfWork[PartyWork]
    clock: Clock

    async def __call__(
        self, actor: Actor, new: NewParty, *, owner_id: UserId | None = None, once: OnceKey | None = None
    ) -> Founded:
        founder = person_of(actor, owner_id, "/owner_id")
        party = self._made(new, founder)
        async with self.work() as work:
            earlier = await work.once(once, status=CREATED, ids=[party.id])
            if earlier is not None:
                return Founded(PartyId(earlier.ids[0]))
            if not await work.people.hold(founder):
                raise UnknownUser("/owner_id")
            await work.parties.add(party, Membership(party.id, founder, Role.OWNER, party.created_at))
            work.publish(
                PartyFounded(party.id, founder, party.name, party.visibility, party.capacity, party.chat_id)
            )
        return Founded(party.id, party)

    def _made(self, new: NewParty, founder: UserId) -> Party:
        now = self.clock()
        return Party(
            id=PartyId(uuid7()),
            name=new.name,
            description=new.description,
            visibility=new.visibility,
            capacity=new.capacity,
            owner_id=founder,
            chat_id=ChatId(uuid7()),
            created_at=now,
            updated_at=now,
        )


@dataclass(frozen=True, slots=True)
class ChangeParty:
    """The owner or an officer renames a party, describes it, opens or closes it, or sets its number of seats."""

    work: UnitOfWork[PartyWork]
    clock: Clock

    async def __call__(
        self, actor: Actor, party_id: PartyId, changes: Changes, *, expected: Expected = ANY_VERSION
    ) -> Party:
        admit(actor)
        now = self.clock()
        async with self.work() as work:
            scene = await entered(work, actor, party_id, now)
            scene.must_lead()
            party = scene.party
            expected.must_be(party.version)
            if party.change(changes, now):
                await work.parties.save(party)
                work.publish(PartyChanged(party.id, party.name, party.visibility, party.capacity))
        return party


@dataclass(frozen=True, slots=True)
class EndParty:
    """The owner, or whoever manages parties, deletes a party with its memberships, invitations and bans."""

    work: UnitOfWork[PartyWork]
    clock: Clock

    async def __call__(self, actor: Actor, party_id: PartyId, *, expected: Expected = ANY_VERSION) -> None:
        if not actor.may(MANAGE):
            admit(actor, permission=WRITE)
        async with self.work() as work:
            scene = await entered(work, actor, party_id, self.clock())
            if not actor.may(MANAGE):
                scene.must_own()
            expected.must_be(scene.party.version)
            await work.parties.remove(party_id)
            work.publish(PartyEnded(party_id))
