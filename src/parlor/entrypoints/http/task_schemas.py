"""Tasks on the wire: an order as a client sends it, and what clients get to see."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, Field

from parlor.core.shared.actor import ActorKind
from parlor.core.shared.clock import system_clock
from parlor.core.tasks.kinds import Kinds
from parlor.core.tasks.model import (
    EARLIEST_RUN_AT,
    FARTHEST_RUN_AT,
    MAX_ATTEMPTS,
    TIMEOUT_S,
    UNIQUE_KEY_LENGTH,
    Order,
    Priority,
    TaskStatus,
)
from parlor.entrypoints.http.schemas import Body, GivenTime, OneLine, Shown, ShownTime, refused

KIND_LENGTH = (1, 128)
MOST_IN_A_BATCH = 1000


def _not_too_far(moment: datetime) -> datetime:
    if moment < EARLIEST_RUN_AT:
        raise refused("too_long_ago")
    if moment - system_clock() > FARTHEST_RUN_AT:
        raise refused("too_far_ahead")
    return moment


RunAt = Annotated[GivenTime, AfterValidator(_not_too_far), Field(strict=False)]


class OrderBody(Body):
    """What is to be done; without `run_at` as soon as possible."""

    kind: Annotated[OneLine, Field(min_length=KIND_LENGTH[0], max_length=KIND_LENGTH[1])]
    payload: dict[str, Any]
    priority: Annotated[Priority, Field(strict=False)] = Priority.DEFAULT
    run_at: RunAt | None = None
    max_attempts: Annotated[int, Field(ge=MAX_ATTEMPTS[0], le=MAX_ATTEMPTS[1])] = 5
    timeout_s: Annotated[int, Field(ge=TIMEOUT_S[0], le=TIMEOUT_S[1])] = 60
    unique_key: (
        Annotated[OneLine, Field(min_length=UNIQUE_KEY_LENGTH[0], max_length=UNIQUE_KEY_LENGTH[1])] | None
    ) = None

    def order(self, *, traceparent: str | None) -> Order:
        """Make the order; what was not sent stays as the core has it."""
        sent = {name: getattr(self, name) for name in self.model_fields_set}
        return Order(**sent, traceparent=traceparent)


class BatchBody(Body):
    """Up to 1,000 orders: all of them are taken, or none."""

    tasks: Annotated[list[OrderBody], Field(min_length=1, max_length=MOST_IN_A_BATCH)]


class Requester(Shown):
    """Who asked for a task."""

    kind: ActorKind
    id: UUID | None


class TaskError(Shown):
    """Why a task has not succeeded."""

    code: str
    message: str
    retryable: bool


class Progress(Shown):
    """How far a run is, in its own units."""

    current: int
    total: int
    message: str | None


class Task(Shown):
    """A task. Secret fields of its payload are never shown."""

    id: UUID
    kind: str
    status: TaskStatus
    payload: dict[str, Any]
    result: dict[str, Any] | None
    error: TaskError | None
    attempts: int
    max_attempts: int
    priority: Priority
    progress: Progress | None
    run_at: ShownTime
    timeout_s: int
    requested_by: Requester
    created_at: ShownTime
    started_at: ShownTime | None
    finished_at: ShownTime | None
    schedule_id: UUID | None
    version: int


class TaskBatch(Shown):
    """The tasks that stand for a batch, in its order."""

    items: list[Task]


class TaskPage(Shown):
    """Tasks, newest first."""

    items: list[Task]
    next_cursor: str | None


class TaskKind(Shown):
    """A kind of task: the JSON Schemas of what it takes and answers, and the permission it asks for."""

    kind: str
    permission: str | None
    payload_schema: dict[str, Any]
    result_schema: dict[str, Any]


class TaskKindPage(Shown):
    """Every kind that this installation runs, by name."""

    items: list[TaskKind]
    next_cursor: None = None


def kind_page(kinds: Kinds) -> TaskKindPage:
    """Describe every kind."""
    return TaskKindPage(items=[_kind(kinds, name) for name in kinds.offered])


def _kind(kinds: Kinds, name: str) -> TaskKind:
    payload, result = kinds.payloads.describe(name)
    return TaskKind(
        kind=name,
        permission=kinds.handlers[name].permission,
        payload_schema=dict(payload),
        result_schema=dict(result),
    )
