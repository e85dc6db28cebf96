"""A stage for stories about parties: people with names, and every use case over the fakes."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from parlor.adapters.memory.turnstile import MemoryTurnstile
from parlor.core.identity.model import UserStatus
from parlor.core.parties.invitations import AcceptInvitation, InviteGuest
from parlor.core.parties.membership import JoinParty
from parlor.core.parties.model import Invitation, NewParty, Party, Role, Visibility
from parlor.core.parties.ports import Doors
from parlor.core.parties.use_cases import FoundParty
from parlor.core.shared.actor import Actor
from parlor.core.shared.ids import InvitationId, PartyId, UserId
from tests.builders import a_user, an_actor
from tests.fakes.clock import FakeClock
from tests.fakes.parties import FakeDoors, PartyStore
from tests.fakes.work import FakeDatabase

MINUTE = timedelta(minutes=1)


@dataclass(slots=True)
class Stage:
    """Parties in memory, and a clock that goes on by a minute with each step."""

    clock: FakeClock = field(default_factory=FakeClock)
    turnstile: MemoryTurnstile = field(default_factory=MemoryTurnstile)
    database: FakeDatabase = field(init=False)
    doors: Doors = field(init=False)

    def __post_init__(self) -> None:
        self.database = FakeDatabase(self.clock)
        self.doors = FakeDoors(lambda: self.store)

    @property
    def store(self) -> PartyStore:
        return self.database.store.parties

    @property
    def told(self) -> list[str]:
        """List the facts so far, without the context's name."""
        return [fact.name.removeprefix("parties.") for fact in self.database.store.facts]

    @property
    def last(self) -> dict[str, Any]:
        """Show the newest fact, without the party's id."""
        return {key: value for key, value in self.database.store.facts[-1].body.items() if key != "party_id"}

    def person(self, *permissions: str, status: UserStatus = UserStatus.ACTIVE) -> Actor:
        user = a_user(status=status)
        self.database.store.identity.users[user.id] = user
        return an_actor(*permissions, user_id=user.id)

    async def act(
        self, use_case: Callable[..., Callable[..., Awaitable[Any]]], *given: Any, **more: Any
    ) -> Any:
        """Call a use case, a minute later."""
        self.clock.now += MINUTE
        ports = (self.doors, self.turnstile) if use_case is JoinParty else ()
        return await use_case(self.database.work, self.clock, *ports)(*given, **more)

    async def found(self, owner: Actor, **fields: Any) -> PartyId:
        defaults: dict[str, Any] = {"name": "Dragons", "capacity": 8}
        new = NewParty(**defaults | fields)
        made = await self.act(FoundParty, owner, new)
        party_id: PartyId = made.party_id
        return party_id

    async def found_private(self, owner: Actor, **fields: Any) -> PartyId:
        return await self.found(owner, visibility=Visibility.PRIVATE, **fields)

    async def join(self, party_id: PartyId, *people: Actor, role: Role = Role.MEMBER) -> None:
        """Seat them, whether the party is public or not."""
        for one in people:
            invitation = await self.invite(party_id, one)
            await self.act(AcceptInvitation, one, invitation)
            self.store.members[party_id, user(one)].role = role

    async def invite(self, party_id: PartyId, guest: Actor, *, by: Actor | None = None) -> InvitationId:
        inviter = by or an_actor(user_id=self.party(party_id).owner_id)
        sent = await self.act(InviteGuest, inviter, party_id, user(guest))
        invitation_id: InvitationId = sent.invitation_id
        return invitation_id

    def party(self, party_id: PartyId) -> Party:
        return self.store.parties[party_id]

    def invitation(self, invitation_id: InvitationId) -> Invitation:
        return self.store.invitations[invitation_id]

    def role(self, party_id: PartyId, one: Actor) -> Role | None:
        membership = self.store.members.get((party_id, user(one)))
        return membership.role if membership else None


def user(one: Actor) -> UserId:
    """Answer the user behind an actor."""
    assert one.user_id is not None
    return one.user_id
