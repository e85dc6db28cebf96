"""The run that a handler is called in, without a worker around it."""

from dataclasses import dataclass, field
from uuid import UUID

from parlor.core.shared.actor import SYSTEM, Actor
from parlor.core.shared.ids import TaskId
from parlor.core.shared.work import Work

A_TASK = TaskId(UUID("01890a5d-ac96-774b-bcce-b302099a8057"))


@dataclass(slots=True)
class FakeLog:
    """Keeps its lines."""

    lines: list[tuple[str, str, dict[str, object]]] = field(default_factory=list)

    def info(self, event: str, **fields: object) -> None:
        self.lines.append(("info", event, fields))

    def warning(self, event: str, **fields: object) -> None:
        self.lines.append(("warning", event, fields))


@dataclass(slots=True)
class FakeContext:
    """Remembers the progress that was shown. Opening a work needs one to be given."""

    task_id: TaskId = A_TASK
    attempt: int = 1
    requester: Actor = SYSTEM
    traceparent: str | None = None
    log: FakeLog = field(default_factory=FakeLog)
    opened: Work | None = None
    shown: list[tuple[int, int, str]] = field(default_factory=list)

    async def progress(self, current: int, total: int, message: str = "") -> None:
        self.shown.append((current, total, message))

    async def work(self) -> Work:
        assert self.opened is not None, "this handler was not expected to open a transaction"
        return self.opened
