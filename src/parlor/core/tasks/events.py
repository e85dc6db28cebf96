"""What tasks tell the others."""

from dataclasses import dataclass
from uuid import UUID

from parlor.core.shared.events import Event
from parlor.core.shared.ids import TaskId


@dataclass(frozen=True, slots=True)
class TaskSucceeded(Event):
    """A task ended with a result."""

    name = "tasks.task_succeeded"
    task_id: TaskId
    kind: str

    @property
    def subject(self) -> UUID:
        """The task."""
        return self.task_id


@dataclass(frozen=True, slots=True)
class TaskFailed(Event):
    """A task ended without a result; `code` says why."""

    name = "tasks.task_failed"
    task_id: TaskId
    kind: str
    code: str

    @property
    def subject(self) -> UUID:
        """The task."""
        return self.task_id


@dataclass(frozen=True, slots=True)
class TaskCancelled(Event):
    """A task was ended before its time."""

    name = "tasks.task_cancelled"
    task_id: TaskId
    kind: str

    @property
    def subject(self) -> UUID:
        """The task."""
        return self.task_id
