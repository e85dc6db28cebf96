"""The two stores that a unit of work may stand on, behind one face."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol
from uuid import UUID

from parlor.adapters.sql.history import SqlAttempts
from parlor.adapters.sql.posting import SqlPosts
from parlor.adapters.sql.sessions import SqlFamilies
from parlor.core.chats.changes import Change
from parlor.core.chats.ports import ChatWork, Posts
from parlor.core.identity.attempts import Attempts
from parlor.core.identity.history import LoginEntry, Method, Outcome
from parlor.core.identity.introspection import KeyedWork
from parlor.core.identity.model import Client
from parlor.core.identity.ports import Families
from parlor.core.identity.roles import RoleWork
from parlor.core.identity.tickets import TicketWork
from parlor.core.parties.ports import PartyWork
from parlor.core.shared.bus import Replay
from parlor.core.shared.events import Event
from parlor.core.shared.ids import DeadLetterId, TaskId, UserId
from parlor.core.shared.work import Reaction
from parlor.core.tasks.schedules_ports import ScheduleWork
from tests.fakes.chats import FakePosts
from tests.fakes.clock import FakeClock
from tests.fakes.identity import FakeAttempts, FakeFamilies
from tests.fakes.work import FakeDatabase
from tests.sql import Sql


class AnyWork(PartyWork, RoleWork, KeyedWork, ScheduleWork, TicketWork, ChatWork, Protocol):
    """A transaction with every context's repositories."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the subscribers get of an event, as far as both stores know it."""

    name: str
    subject: UUID
    sequence: int
    body: dict[str, object]
    traceparent: str | None


class Backend(Protocol):
    """A store, and what a test may look at beside the ports."""

    @property
    def reactions(self) -> dict[type[Event], list[Reaction[Any, Any]]]: ...

    def work(self) -> AbstractAsyncContextManager[AnyWork]: ...

    async def told(self) -> Sequence[Told]:
        """List the committed events in the order in which they will be published."""
        ...

    async def age_keys(self, by: timedelta) -> None:
        """Make the idempotency keys older."""
        ...

    async def end_task(self, task_id: TaskId) -> None:
        """As if its run had succeeded."""
        ...

    async def replays(self) -> Sequence[Replay]:
        """List what waits to be sent again."""
        ...

    async def orders(self) -> Sequence[tuple[object, ...]]:
        """List the tasks: kind, payload, secret fields, sort of requester."""
        ...

    @property
    def attempts(self) -> Attempts: ...

    @property
    def families(self) -> Families: ...

    async def logins(self) -> Sequence[LoginEntry]:
        """List the login history's lines by their time."""
        ...

    @property
    def posts(self) -> Posts:
        """Post a message by itself."""
        ...

    @property
    def changes(self) -> Sequence[Change]:
        """List what listeners of chats were told."""
        ...


@dataclass(slots=True)
class FakeBackend:
    """Memory."""

    clock: FakeClock = field(default_factory=FakeClock)
    reactions: dict[type[Event], list[Reaction[Any, Any]]] = field(default_factory=dict)
    database: FakeDatabase = field(init=False)

    def __post_init__(self) -> None:
        self.database = FakeDatabase(self.clock, self.reactions)

    def work(self) -> AbstractAsyncContextManager[AnyWork]:
        return self.database.work()

    async def told(self) -> Sequence[Told]:
        facts = self.database.store.facts
        return [
            Told(fact.name, fact.subject, fact.sequence, dict(fact.body), fact.traceparent) for fact in facts
        ]

    async def age_keys(self, by: timedelta) -> None:
        self.clock.now += by

    async def end_task(self, task_id: TaskId) -> None:
        self.database.end_task(task_id)

    async def replays(self) -> Sequence[Replay]:
        return self.database.store.tasks.replays

    async def orders(self) -> Sequence[tuple[object, ...]]:
        tasks = self.database.store.tasks.tasks.values()
        return [(one.kind, one.payload, one.secrets, one.requested_by.kind) for one in tasks]

    @property
    def attempts(self) -> Attempts:
        return FakeAttempts(lambda: self.database.store.identity)

    @property
    def families(self) -> Families:
        return FakeFamilies(lambda: self.database.store.identity)

    async def logins(self) -> Sequence[LoginEntry]:
        return sorted(self.database.store.identity.logins, key=lambda entry: entry.at)

    @property
    def posts(self) -> Posts:
        return FakePosts(self.database.work)

    @property
    def changes(self) -> Sequence[Change]:
        return self.database.store.chats.changes


@dataclass(slots=True)
class SqlBackend:
    """PostgreSQL."""

    sql: Sql
    reactions: dict[type[Event], list[Reaction[Any, Any]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.sql.reactions = self.reactions

    def work(self) -> AbstractAsyncContextManager[AnyWork]:
        return self.sql.work()

    async def told(self) -> Sequence[Told]:
        return [
            Told(row["name"], row["subject"], row["sequence"], row["body"], row["traceparent"])
            for row in await self.sql.facts()
        ]

    async def age_keys(self, by: timedelta) -> None:
        await self.sql.execute("update idempotency_keys set created_at = created_at - $1::interval", by)

    async def end_task(self, task_id: TaskId) -> None:
        await self.sql.execute(
            "update tasks set status = 'succeeded', finished_at = clock_timestamp() where id = $1", task_id
        )

    async def replays(self) -> Sequence[Replay]:
        same = ("queue", "message_id", "headers", "body", "content_type", "properties")
        return [
            Replay(DeadLetterId(row["letter_id"]), **{name: row[name] for name in same})
            for row in await self.sql.rows("select * from replay_outbox order by id")
        ]

    async def orders(self) -> Sequence[tuple[object, ...]]:
        rows = await self.sql.rows("select kind, payload, secrets, requester_kind from tasks order by id")
        return [tuple(row.values()) for row in rows]

    @property
    def attempts(self) -> Attempts:
        return SqlAttempts(self.sql.database)

    @property
    def families(self) -> Families:
        return SqlFamilies(self.sql.database)

    async def logins(self) -> Sequence[LoginEntry]:
        return [
            LoginEntry(
                UserId(row["user_id"]),
                row["at"],
                Outcome(row["outcome"]),
                Method(row["method"]),
                Client(row["ip"], row["user_agent"]),
                row["session_id"],
            )
            for row in await self.sql.rows("select * from logins order by at")
        ]

    @property
    def posts(self) -> Posts:
        return SqlPosts(self.sql.database, self.sql.hints, publish=False)

    @property
    def changes(self) -> Sequence[Change]:
        return self.sql.hints.changes
