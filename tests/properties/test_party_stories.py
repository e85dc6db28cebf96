"""Any story about a party ends as the rules say, in memory and in PostgreSQL."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings, strategies as st

from parlor.adapters.memory.turnstile import MemoryTurnstile
from parlor.adapters.sql.engine import Database
from parlor.adapters.sql.parties import SqlDoors
from parlor.core.parties.bans import BanUser, LiftBan
from parlor.core.parties.invitations import InviteGuest
from parlor.core.parties.membership import ChangeRole, HandOver, JoinParty, KickMember, LeaveParty
from parlor.core.parties.model import Changes, NewParty, Role
from parlor.core.parties.ports import Doors
from parlor.core.parties.use_cases import ChangeParty, FoundParty
from parlor.core.shared.actor import Actor
from parlor.core.shared.errors import ParlorError
from parlor.core.shared.ids import PartyId, UserId
from tests.builders import a_user, an_actor
from tests.contract.backends import AnyWork
from tests.fakes.clock import FakeClock
from tests.fakes.parties import FakeDoors
from tests.fakes.work import FakeDatabase
from tests.faults.score import rounds
from tests.properties.party_book import STEPS, Book
from tests.sql import Sql

PEOPLE = 5
Step = tuple[str, int, int]
STORIES = st.lists(
    st.tuples(st.sampled_from(STEPS), st.integers(0, PEOPLE - 1), st.integers(0, PEOPLE - 1)),
    min_size=10,
    max_size=40,
)
ANY = settings(
    max_examples=50 * rounds(4),
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
FEW = settings(ANY, max_examples=8 * rounds(4))
Open = Callable[[], AbstractAsyncContextManager[AnyWork]]


@dataclass(slots=True)
class Play:
    """One party and the people around it, over any unit of work."""

    work: Open
    doors: Doors
    clock: FakeClock = field(default_factory=FakeClock)
    actors: list[Actor] = field(default_factory=list)
    party_id: PartyId | None = None

    async def open(self, capacity: int) -> None:
        """Let the first one found it."""
        users = [a_user() for _ in range(PEOPLE)]
        async with self.work() as work:
            for user in users:
                await work.users.add(user)
        self.actors = [an_actor(user_id=user.id) for user in users]
        made = await self._call(FoundParty, self.actors[0], NewParty("Dragons", capacity=capacity))
        self.party_id = made.party_id

    async def step(self, does: str, who: int, whom: int) -> str | None:
        """Do it; answer the code of its refusal, if it was refused."""
        user_id = self._user(whom)
        told: dict[str, tuple[Callable[..., Any], tuple[object, ...]]] = {
            "join": (JoinParty, ()),
            "leave": (LeaveParty, ()),
            "kick": (KickMember, (user_id,)),
            "ban": (BanUser, (user_id,)),
            "lift": (LiftBan, (user_id,)),
            "invite": (InviteGuest, (user_id,)),
            "promote": (ChangeRole, (user_id, Role.OFFICER)),
            "demote": (ChangeRole, (user_id, Role.MEMBER)),
            "hand_over": (HandOver, (user_id,)),
            "resize": (ChangeParty, (Changes(capacity=whom + 1),)),
        }
        use_case, more = told[does]
        try:
            await self._call(use_case, self.actors[who], self.party_id, *more)
        except ParlorError as error:
            return error.code
        return None

    async def book(self) -> Book | None:
        """Read how things stand; None where the party has ended."""
        assert self.party_id is not None
        numbers = range(PEOPLE)
        async with self.work() as work:
            party = await work.parties.find(self.party_id)
            if party is None:
                return None
            seats = [await work.memberships.find(self.party_id, self._user(number)) for number in numbers]
            standings = [
                await work.parties.standing(self.party_id, self._user(number), self.clock())
                for number in numbers
            ]
        taken = sorted((seat.joined_at, number) for number, seat in enumerate(seats) if seat)
        roles = {number: str(seats[number].role) for _, number in taken}  # type: ignore[union-attr]  # taken
        assert party.member_count == len(roles)
        assert [self._user(number) for number, role in roles.items() if role == "owner"] == [party.owner_id]
        return Book(
            party.capacity,
            roles,
            {number for number in numbers if standings[number].banned},
            {number for number in numbers if standings[number].invited},
        )

    async def _call(self, use_case: Callable[..., Callable[..., Awaitable[Any]]], *more: object) -> Any:
        self.clock.now += timedelta(seconds=1)
        ports = (self.doors, MemoryTurnstile()) if use_case is JoinParty else ()
        return await use_case(self.work, self.clock, *ports)(*more)

    def _user(self, number: int) -> UserId:
        return UserId(self.actors[number].user_id or self.actors[number].id)  # type: ignore[arg-type]  # people have one


async def agree(work: Open, doors: Doors, steps: Sequence[Step]) -> None:
    """Play a story, and compare with the rules after each step."""
    play, book = Play(work, doors), Book(capacity=3)
    await play.open(capacity=3)
    for step in steps:
        assert await play.step(*step) == book.step(*step), step
        assert await play.book() == (book if book.roles else None), step


@given(STORIES)
@ANY
def test_any_story_ends_as_the_rules_say(steps: Sequence[Step]) -> None:
    database = FakeDatabase()
    asyncio.run(agree(database.work, FakeDoors(lambda: database.store.parties), steps))


def test_any_story_ends_so_in_the_database(database_url: str) -> None:
    with asyncio.Runner() as runner:
        database = Database(database_url, size=1, name="tests")
        runner.run(database.open())

        @given(STORIES)
        @FEW
        def play(steps: Sequence[Step]) -> None:
            runner.run(agree(Sql(database).work, SqlDoors(database), steps))

        try:
            play()
        finally:
            runner.run(database.close())
