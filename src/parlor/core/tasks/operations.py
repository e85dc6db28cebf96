"""What whoever runs Parlor sees at a glance: what ends, what waits, what runs, what went wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from parlor.core.shared.actor import Actor
from parlor.core.shared.ids import DeadLetterId, TaskId
from parlor.core.tasks.last_hour import KindPace, Minute
from parlor.core.tasks.model import TaskStatus

# Counting stops here: a longer backlog costs no more to look at.
MOST_COUNTED = 50_000
# Of these statuses the tasks are listed: an index has each of them in its order.
LISTED = (TaskStatus.FAILED, TaskStatus.RUNNING, TaskStatus.QUEUED, TaskStatus.SCHEDULED)


@dataclass(frozen=True, slots=True)
class Live:
    """The tasks that have not ended. `held_back` are among the queued, `expired` among the running."""

    scheduled: int
    queued: int
    held_back: int
    running: int
    expired: int


@dataclass(frozen=True, slots=True)
class Backlog:
    """The rows that wait in an outbox, and for how many seconds the oldest of them has."""

    rows: int
    oldest_s: float | None


@dataclass(frozen=True, slots=True)
class Company:
    """Who was here in the last hour, and how much was written in the last five minutes."""

    users: int
    sessions: int
    chats: int
    messages: int


@dataclass(frozen=True, slots=True)
class DatabaseUse:
    """The server's connections, and the seconds since this database's oldest open transaction began."""

    connections: int
    most_connections: int
    oldest_transaction_s: float | None


@dataclass(frozen=True, slots=True)
class Numbers:
    """How it goes. No count is above `MOST_COUNTED`, but for those of the last hour, which are exact.

    `unsent` are the rows of the outbox of tasks by their queue; `lost` ended in the last hour as `worker_lost`.
    """

    at: datetime
    minutes: Sequence[Minute]
    kinds: Sequence[KindPace]
    lost: int
    live: Live
    unsent: Mapping[str, int]
    outboxes: Mapping[str, Backlog]
    put_aside: int
    letters: int
    company: Company
    database: DatabaseUse


@dataclass(frozen=True, slots=True)
class TaskLine:
    """A task in a list. `since`: when it failed, began to run, was queued, or is to run."""

    id: TaskId
    kind: str
    status: TaskStatus
    since: datetime
    attempts: int
    max_attempts: int
    code: str | None
    message: str | None
    expired: bool


@dataclass(frozen=True, slots=True)
class LetterLine:
    """A dead letter in a list."""

    id: DeadLetterId
    reason: str
    detail: str
    message_id: str | None
    dead_at: datetime


class OperationsViews(Protocol):
    """For those who hold `tasks:manage`; every method raises PermissionMissing for others."""

    async def numbers(self, viewer: Actor) -> Numbers: ...

    async def tasks(
        self, viewer: Actor, *, status: TaskStatus, kind: str | None, limit: int
    ) -> Sequence[TaskLine]:
        """List tasks of a status in `LISTED`: those that failed newest first, others longest in it first."""
        ...

    async def letters(self, viewer: Actor, *, reason: str | None, limit: int) -> Sequence[LetterLine]:
        """List the dead letters that were not replayed, newest first."""
        ...
