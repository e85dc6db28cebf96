"""A unit of work over a store in memory: one lock, a copy to work on, swapped in by the commit."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from parlor.adapters.sql.mail_orders import TaskMailOrders
from parlor.core.shared.bus import Fact
from parlor.core.shared.clock import Clock
from parlor.core.shared.errors import Flaw, IdempotencyKeyReused
from parlor.core.shared.events import Event, plain_fields
from parlor.core.shared.ids import EventId, TaskId, uuid7
from parlor.core.shared.tracing import current_trace
from parlor.core.shared.work import Earlier, OnceKey, Reaction
from parlor.core.tasks.model import TaskStatus
from tests.fakes.api_keys import ApiKeyStore, FakeApiKeys
from tests.fakes.chats import ChatStore, FakeChatMembers, FakeChatPeople, FakeChats, FakeMessages
from tests.fakes.clock import FakeClock
from tests.fakes.games import FakeSeats
from tests.fakes.identity import (
    FakeHistory,
    FakeMailTokens,
    FakeSessions,
    FakeTickets,
    FakeUsers,
    IdentityStore,
)
from tests.fakes.parties import (
    FakeBans,
    FakeInvitations,
    FakeMemberships,
    FakeParties,
    FakePeople,
    PartyStore,
)
from tests.fakes.roles import FakeRoles
from tests.fakes.schedules import FakeOwners, FakeSchedules, ScheduleStore
from tests.fakes.tasks import FakeDeadLetters, FakeTasks, TaskStore

DEEPEST = 8
ONCE_LIFE = timedelta(hours=24)
Reactions = Mapping[type[Event], Sequence[Reaction[Any, Any]]]


@dataclass(slots=True)
class Kept:
    """What stands under an idempotency key."""

    fingerprint: bytes
    earlier: Earlier
    at: datetime


@dataclass(slots=True)
class Store:
    """Everything that a commit makes true."""

    identity: IdentityStore = field(default_factory=IdentityStore)
    api_keys: ApiKeyStore = field(default_factory=ApiKeyStore)
    tasks: TaskStore = field(default_factory=TaskStore)
    schedules: ScheduleStore = field(default_factory=ScheduleStore)
    parties: PartyStore = field(default_factory=PartyStore)
    chats: ChatStore = field(default_factory=ChatStore)
    seats: FakeSeats = field(default_factory=FakeSeats)
    once: dict[tuple[str, str], Kept] = field(default_factory=dict)
    facts: list[Fact] = field(default_factory=list)


@dataclass(slots=True)
class FakeDatabase:
    """One store behind one lock; calling it opens a work."""

    clock: Clock = field(default_factory=FakeClock)
    reactions: Reactions = field(default_factory=dict)
    store: Store = field(default_factory=Store)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @asynccontextmanager
    async def work(self) -> AsyncIterator["FakeWork"]:
        """Lend a copy of the store; it takes the store's place when the block ends well."""
        async with self._lock:
            work = FakeWork(deepcopy(self.store), self.clock, self.reactions)
            yield work
            await work.complete()
            self.store = work.store
        for call in work.afterwards:
            with suppress(Exception):
                await call()

    def end_task(self, task_id: TaskId) -> None:
        """As if its run had succeeded."""
        self.store.tasks.tasks[task_id].status = TaskStatus.SUCCEEDED


class FakeWork:
    """A transaction with every context's repositories."""

    def __init__(self, store: Store, clock: Clock, reactions: Reactions) -> None:
        self.store = store
        self.users = FakeUsers(store.identity)
        self.sessions = FakeSessions(store.identity)
        self.history = FakeHistory(store.identity)
        self.roles = FakeRoles(store.identity.roles, store.identity.users)
        self.tickets = FakeTickets(store.identity)
        self.api_keys = FakeApiKeys(store.api_keys)
        self.tasks = FakeTasks(store.tasks, clock)
        self.mail_tokens = FakeMailTokens(store.identity)
        self.mail_orders = TaskMailOrders(self.tasks)
        self.letters = FakeDeadLetters(store.tasks, clock)
        self.schedules = FakeSchedules(store.schedules)
        self.owners = FakeOwners(store.identity)
        self.parties = FakeParties(store.parties)
        self.memberships = FakeMemberships(store.parties, store.identity)
        self.invitations = FakeInvitations(store.parties)
        self.bans = FakeBans(store.parties)
        self.people = FakePeople(store.identity)
        self.chat_people = FakeChatPeople(store.identity)
        self.chats = FakeChats(store.chats)
        self.chat_members = FakeChatMembers(store.chats)
        self.messages = FakeMessages(store.chats, clock)
        self.seats = store.seats
        self.afterwards: list[Callable[[], Awaitable[None]]] = []
        self._clock = clock
        self._reactions = reactions
        self._events: deque[tuple[Event, int]] = deque()
        self._depth = 0

    def publish(self, event: Event) -> None:
        self._events.append((event, self._depth))

    def after_commit(self, call: Callable[[], Awaitable[None]]) -> None:
        self.afterwards.append(call)

    async def once(self, key: OnceKey | None, *, status: int, ids: Sequence[UUID]) -> Earlier | None:
        if key is None:
            return None
        kept = self.store.once.get((key.caller, key.key))
        if kept is None or kept.at + ONCE_LIFE <= self._clock():
            self._keep(key, status, ids)
            return None
        if kept.fingerprint != key.fingerprint:
            flaw = Flaw("header:Idempotency-Key", IdempotencyKeyReused.code, "It belongs to another request.")
            raise IdempotencyKeyReused(flaws=[flaw])
        return kept.earlier

    async def amend(self, key: OnceKey | None, *, status: int, ids: Sequence[UUID]) -> None:
        if key is not None:
            self._keep(key, status, ids)

    def _keep(self, key: OnceKey, status: int, ids: Sequence[UUID]) -> None:
        self.store.once[key.caller, key.key] = Kept(
            key.fingerprint, Earlier(status, tuple(ids)), self._clock()
        )

    async def complete(self) -> None:
        """Give every event to its reactions, then to the subscribers."""
        while self._events:
            event, depth = self._events.popleft()
            if depth > DEEPEST:
                raise RuntimeError(f"endless reactions to {event.name}")
            self._depth = depth + 1
            for reaction in self._reactions.get(type(event), ()):
                await reaction(event, self)
            self.store.facts.append(self._fact(event))

    def _fact(self, event: Event) -> Fact:
        return Fact(
            event_id=EventId(uuid7()),
            name=event.name,
            version=event.version,
            subject=event.subject,
            sequence=1 + sum(fact.subject == event.subject for fact in self.store.facts),
            happened_at=self._clock(),
            body=plain_fields(event),
            traceparent=current_trace(),
        )
