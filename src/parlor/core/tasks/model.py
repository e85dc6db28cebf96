"""A task: what is to be done, once, and how far it is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from uuid import UUID

from parlor.core.shared.actor import Actor, ActorKind
from parlor.core.shared.errors import Conflict
from parlor.core.shared.ids import DeadLetterId, ScheduleId, TaskId, UserId, uuid7

JsonObject = Mapping[str, object]

MANAGE = "tasks:manage"
MAX_ATTEMPTS = (1, 100)
TIMEOUT_S = (1, 86_400)
# The message of a task that may take longer is acknowledged at its claim: the broker would not wait for its end.
LONG_S = 60
UNIQUE_KEY_LENGTH = (1, 128)
MAX_RESULT_BYTES = 256 * 1024
EARLIEST_RUN_AT = datetime(1970, 1, 1, tzinfo=UTC)
FARTHEST_RUN_AT = timedelta(days=5 * 366)


class UniqueKeyTaken(Conflict):
    """A live task of somebody else has this unique key."""

    code = "unique_key_taken"


class TaskEnded(Conflict):
    """The task has ended already."""

    code = "task_ended"


class TaskNotFailed(Conflict):
    """Only a task that failed or was cancelled can be run again."""

    code = "task_not_failed"


class PayloadDropped(Conflict):
    """The secret fields of the payload were dropped when the task ended, so it cannot be run again."""

    code = "payload_dropped"


class AlreadyReplayed(Conflict):
    """This dead letter was replayed before; what is refused again is a new one."""

    code = "already_replayed"


class TaskStatus(StrEnum):
    """Where a task stands: scheduled → queued → running → one of the ends; back to scheduled for another attempt."""

    SCHEDULED = "scheduled"
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether the run is over."""
        return self in _ENDED


_ENDED = frozenset({TaskStatus.SUCCEEDED, TaskStatus.FAILED, TaskStatus.CANCELLED})


class Priority(StrEnum):
    """Which queue carries it."""

    HIGH = "high"
    DEFAULT = "default"
    LOW = "low"


def priority_of(routing_key: str | None) -> Priority:
    """Read a routing key; anybody may send any, and what is none of ours counts as the default."""
    return next((each for each in Priority if each == routing_key), Priority.DEFAULT)


@dataclass(frozen=True, slots=True)
class Requester:
    """Who asked for a task: what stands in `requested_by`, and the person it is for, if any."""

    kind: ActorKind
    id: UUID | None = None
    user_id: UserId | None = None

    @classmethod
    def of(cls, actor: Actor) -> "Requester":
        """Remember the actor without its permissions."""
        return cls(kind=actor.kind, id=actor.id, user_id=actor.user_id)

    def actor(self) -> Actor:
        """Speak of the requester as an actor that holds no permission."""
        return Actor(kind=self.kind, id=self.id, user_id=self.user_id)

    def shows_to(self, viewer: Actor) -> bool:
        """Whether the viewer may see what was asked for: the person it is for, else the one who asked."""
        if viewer.may(MANAGE):
            return True
        if self.user_id is not None:
            return viewer.user_id == self.user_id
        return self.id is not None and viewer.id == self.id


@dataclass(frozen=True, slots=True)
class TaskError:
    """Why an attempt did not succeed, in words for the requester."""

    code: str
    message: str
    retryable: bool


@dataclass(frozen=True, slots=True)
class Order:
    """What somebody wants done, not yet stored. `run_at` None is now; `timeout_s` is for each attempt."""

    kind: str
    payload: JsonObject
    secrets: JsonObject | None = None
    priority: Priority = Priority.DEFAULT
    run_at: datetime | None = None
    max_attempts: int = 5
    timeout_s: int = 60
    unique_key: str | None = None
    traceparent: str | None = None


@dataclass(slots=True)
class Task:
    """One thing to do. The row in the database is the truth about it; the broker only says that it is due.

    `fence` rises with every claim, so that what an earlier claim still wants to say is refused.
    """

    id: TaskId
    kind: str
    payload: JsonObject
    requested_by: Requester
    status: TaskStatus = TaskStatus.QUEUED
    secrets: JsonObject | None = None
    had_secrets: bool = False
    result: JsonObject | None = None
    error: TaskError | None = None
    attempts: int = 0
    max_attempts: int = 5
    priority: Priority = Priority.DEFAULT
    progress: JsonObject | None = None
    run_at: datetime | None = None
    timeout_s: int = 60
    unique_key: str | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    schedule_id: ScheduleId | None = None
    traceparent: str | None = None
    fence: int = 0
    version: int = 1

    @classmethod
    def ordered(cls, task_id: TaskId, order: Order, requester: Requester) -> "Task":
        """Make the task that an order asks for; the database says when it was born and whether it is due."""
        return cls(
            id=task_id,
            kind=order.kind,
            payload=order.payload,
            requested_by=requester,
            secrets=order.secrets,
            had_secrets=order.secrets is not None,
            max_attempts=order.max_attempts,
            priority=order.priority,
            run_at=order.run_at,
            timeout_s=order.timeout_s,
            unique_key=order.unique_key,
            traceparent=order.traceparent,
        )

    def cancel(self) -> None:
        """End it without a result; a handler that runs is told. Raises TaskEnded."""
        if self.status.ended:
            raise TaskEnded
        self.status = TaskStatus.CANCELLED
        self.secrets = None

    def retry(self) -> None:
        """Open a new run, as if it had just been ordered. Raises TaskNotFailed, PayloadDropped."""
        if self.status not in {TaskStatus.FAILED, TaskStatus.CANCELLED}:
            raise TaskNotFailed
        if self.had_secrets:
            raise PayloadDropped
        self.status = TaskStatus.QUEUED
        self.attempts = 0
        self.result = self.error = self.progress = self.run_at = self.started_at = self.finished_at = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One claimed run of a handler, under a lease that its fence names."""

    task_id: TaskId
    kind: str
    payload: JsonObject
    attempt: int
    max_attempts: int
    timeout_s: int
    fence: int
    priority: Priority
    requested_by: Requester
    traceparent: str | None = None

    @classmethod
    def first(cls, task: Task) -> "Attempt":
        """Make the first attempt of a task that was claimed at its birth."""
        return cls(
            task_id=task.id,
            kind=task.kind,
            payload={**task.payload, **task.secrets} if task.secrets else task.payload,
            attempt=1,
            max_attempts=task.max_attempts,
            timeout_s=task.timeout_s,
            fence=1,
            priority=task.priority,
            requested_by=task.requested_by,
            traceparent=task.traceparent,
        )


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The handler answered; `result` is its JSON."""

    task_id: TaskId
    fence: int
    result: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The run is over without a result."""

    task_id: TaskId
    fence: int
    error: TaskError


@dataclass(frozen=True, slots=True)
class Postponed:
    """The attempt failed and another follows after `delay`."""

    task_id: TaskId
    fence: int
    error: TaskError
    delay: timedelta


Ending = Succeeded | Failed | Postponed


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is, in the handler's own units."""

    current: int
    total: int
    message: str = ""


@dataclass(slots=True)
class DeadLetter:
    """A message that could not be taken, as it came, with the reason.

    `headers` are for readers. `properties` are all that the producer sent beside the body, as the transport's own
    bytes, so that a replay sends the same message; None where they are not known.
    """

    reason: str
    detail: str
    message_id: str | None
    routing_key: str | None
    headers: JsonObject = field(default_factory=dict[str, object])
    body: bytes = b""
    content_type: str | None = None
    properties: bytes | None = None
    id: DeadLetterId = field(default_factory=lambda: DeadLetterId(uuid7()))
    dead_at: datetime | None = None
    replayed_at: datetime | None = None

    @property
    def queue(self) -> Priority:
        """Where a replay goes: the queue that it came through, or the default one."""
        return priority_of(self.routing_key)

    def replay(self, at: datetime) -> None:
        """Note that it was sent again; raises AlreadyReplayed."""
        if self.replayed_at is not None:
            raise AlreadyReplayed
        self.replayed_at = at
