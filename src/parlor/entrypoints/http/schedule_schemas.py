"""Schedules on the wire."""

from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from parlor.core.tasks.model import Priority
from parlor.core.tasks.schedules import MAX_CRON, MAX_TIMEZONE, NAME_LENGTH, Changes, NewSchedule
from parlor.entrypoints.http.schemas import Body, OneLine, Shown, ShownTime, Words
from parlor.entrypoints.http.task_schemas import KIND_LENGTH

Name = Annotated[Words, Field(min_length=NAME_LENGTH[0], max_length=NAME_LENGTH[1])]
Cron = Annotated[
    OneLine,
    Field(
        max_length=MAX_CRON,
        examples=["30 7 * * MON-FRI"],
        description="Minute, hour, day of the month, month, day of the week.",
    ),
]
Timezone = Annotated[
    OneLine, Field(max_length=MAX_TIMEZONE, examples=["Europe/Berlin"], description="A name of IANA's.")
]
Kind = Annotated[OneLine, Field(min_length=KIND_LENGTH[0], max_length=KIND_LENGTH[1])]
AnyPriority = Annotated[Priority, Field(strict=False)]


class ScheduleBody(Body):
    """What is to be done at every due moment."""

    name: Name
    cron: Cron
    timezone: Timezone = "UTC"
    kind: Kind
    payload: dict[str, Any]
    priority: AnyPriority = Priority.DEFAULT
    enabled: bool = True

    def new(self) -> NewSchedule:
        """Say it to the core; what was not sent stays as the core has it."""
        return NewSchedule(**{name: getattr(self, name) for name in self.model_fields_set})


class ScheduleChanges(Body):
    """What is to become different; what is not sent stays. A payload replaces the whole payload."""

    name: Annotated[Name, Field(default_factory=str)]
    cron: Annotated[Cron, Field(default_factory=str)]
    timezone: Annotated[Timezone, Field(default_factory=str)]
    kind: Annotated[Kind, Field(default_factory=str)]
    payload: Annotated[dict[str, Any], Field(default_factory=dict)]
    priority: Annotated[AnyPriority, Field(default_factory=lambda: Priority.DEFAULT)]
    enabled: Annotated[bool, Field(default_factory=bool)]

    def changes(self) -> Changes:
        """Say it to the core, without what was not sent."""
        return Changes(**{name: getattr(self, name) for name in self.model_fields_set})


class Schedule(Shown):
    """A schedule. Secret fields of its payload are never shown; `next_run_at` is null while it is disabled."""

    id: UUID
    name: str
    cron: str
    timezone: str
    kind: str
    payload: dict[str, Any]
    priority: Priority
    enabled: bool
    next_run_at: ShownTime | None
    last_run_at: ShownTime | None
    last_task_id: UUID | None
    version: int


class SchedulePage(Shown):
    """Schedules, newest first."""

    items: list[Schedule]
    next_cursor: str | None
