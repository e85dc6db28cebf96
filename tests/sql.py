"""The SQL adapters as tests use them: nobody listens, no cache stands behind them."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from parlor.adapters.sql.engine import Database
from parlor.adapters.sql.runs import SqlRuns
from parlor.adapters.sql.upkeep import SqlUpkeep
from parlor.adapters.sql.work import Reactions, SqlWork
from parlor.core.chats.changes import Change
from parlor.core.shared.ids import ApiKeyId, TaskId, UserId
from parlor.core.tasks.model import Task

Row = dict[str, Any]


@dataclass(slots=True)
class Hints:
    """Counts what relays were told."""

    tasks: int = 0
    replays: int = 0
    queues: set[str] = field(default_factory=set)
    facts: int = 0
    changes: list[Change] = field(default_factory=list)

    def tasks_due(self, *queues: str) -> None:
        self.tasks += 1
        self.queues |= set(queues)

    def replays_due(self) -> None:
        self.replays += 1

    def facts_due(self) -> None:
        self.facts += 1

    async def chats_changed(self, changes: Sequence[Change]) -> None:
        self.changes += changes


@dataclass(slots=True)
class Changes:
    """Port UserChanges: remembers what it heard."""

    heard: list[tuple[str, Sequence[tuple[UserId | ApiKeyId, str]]]] = field(default_factory=list)

    async def about_to_change(
        self, users: Sequence[tuple[UserId, str]], keys: Sequence[tuple[ApiKeyId, str]] = ()
    ) -> str:
        self.heard.append(("about to", users or keys))
        return "mark"

    async def changed(
        self, users: Sequence[tuple[UserId, str]], mark: str, keys: Sequence[tuple[ApiKeyId, str]] = ()
    ) -> None:
        assert mark == "mark"
        self.heard.append(("changed", users or keys))

    async def roles_changed(self) -> None:
        self.heard.append(("roles changed", ()))


@dataclass(slots=True)
class Sql:
    """One database and every adapter over it."""

    database: Database
    lease_s: float = 60.0
    hints: Hints = field(default_factory=Hints)
    changes: Changes = field(default_factory=Changes)
    reactions: Reactions = field(default_factory=dict)
    limits: dict[str, int] = field(default_factory=dict)

    def work(self) -> SqlWork:
        return SqlWork(self.database, self.changes, self.hints, self.reactions)

    @property
    def runs(self) -> SqlRuns:
        return SqlRuns(
            self.database,
            lease_s=self.lease_s,
            changes=self.changes,
            hints=self.hints,
            reactions=self.reactions,
            limits=self.limits,
        )

    @property
    def upkeep(self) -> SqlUpkeep:
        return SqlUpkeep(self.database, self.hints, self.limits)

    async def enqueue(self, *tasks: Task) -> list[TaskId]:
        """Commit them in one transaction."""
        async with self.work() as work:
            for task in tasks:
                await work.tasks.add(task)
        return [task.id for task in tasks]

    async def execute(self, statement: str, *arguments: object) -> None:
        async with self.database.session() as session:
            await session.execute(statement, *arguments)

    async def rows(self, statement: str, *arguments: object) -> list[Row]:
        async with self.database.session() as session:
            return [dict(row) for row in await session.fetch(statement, *arguments)]

    async def value(self, statement: str, *arguments: object) -> Any:
        async with self.database.session() as session:
            return await session.fetchval(statement, *arguments)

    async def task(self, task_id: TaskId) -> Row:
        (row,) = await self.rows("select * from tasks where id = $1", task_id)
        return row

    async def statuses(self) -> dict[TaskId, str]:
        return {row["id"]: row["status"] for row in await self.rows("select id, status from tasks")}

    async def outbox(self) -> list[TaskId]:
        """List the tasks that wait to be published, in the order of their rows."""
        return [row["task_id"] for row in await self.rows("select task_id from task_outbox order by id")]

    async def facts(self) -> list[Row]:
        return await self.rows("select * from event_outbox order by id")

    async def lose_leases(self, *task_ids: TaskId) -> None:
        """As if their worker had not been heard of for a while."""
        await self.execute(
            """update tasks set lease_until = clock_timestamp() - interval '1 s'
                where id = any($1) and status = 'running'""",
            task_ids,
        )

    def all_wait(self, number: int) -> Callable[[], Awaitable[bool]]:
        """Whether this many sessions wait for a lock."""

        async def waiting() -> bool:
            found: int = await self.value(
                """select count(*) from pg_stat_activity
                    where datname = current_database() and wait_event_type = 'Lock'"""
            )
            return found == number

        return waiting

    async def clear_outbox(self) -> None:
        """As if everything had been published."""
        await self.execute("delete from task_outbox")
