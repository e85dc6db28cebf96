"""What the rules say about a task, whatever has happened to it so far, and what its row may therefore say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from parlor.core.shared.ids import TaskId
from parlor.core.tasks.model import Task
from tests.sql import Row

MOST_LOSSES = 5
LIVE = {"scheduled", "queued", "running"}
EVENTS = {
    "succeeded": "tasks.task_succeeded",
    "failed": "tasks.task_failed",
    "cancelled": "tasks.task_cancelled",
}
# What may move without a new version: nobody is shown it.
UNSHOWN = {"version", "lease_until", "queued_at", "losses"}


@dataclass(slots=True)
class Expected:
    """One task by the rules; `fences` are of all claims there ever were, `ends` of all runs."""

    id: TaskId
    max_attempts: int
    kind: str = "note"
    unique_key: str | None = None
    status: str = "queued"
    is_due: bool = True
    is_held_back: bool = False
    attempts: int = 0
    losses: int = 0
    lease_is_over: bool = False
    fences: list[int] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)
    seen: Row | None = None

    @classmethod
    def of(cls, task: Task, *, ahead: bool = False) -> "Expected":
        """Follow a task from its birth."""
        status = "scheduled" if ahead else "queued"
        return cls(task.id, task.max_attempts, task.kind, task.unique_key, status, is_due=not ahead)

    @property
    def is_live(self) -> bool:
        return self.status in LIVE

    def holds(self, fence: int) -> bool:
        """Whether this claim is the present one."""
        return self.status == "running" and fence == self.fences[-1]

    def claimed(self, fence: int) -> None:
        assert fence > max(self.fences, default=0)
        self.status, self.attempts = "running", self.attempts + 1
        self.lease_is_over = self.is_held_back = False
        self.fences.append(fence)

    def reaped(self) -> None:
        self.losses += 1
        if self.attempts >= self.max_attempts or self.losses >= MOST_LOSSES:
            self.ended("failed")
        else:
            self.status = "queued"

    def postponed(self, *, is_due: bool) -> None:
        self.status, self.is_due, self.losses = "scheduled", is_due, 0

    def ended(self, status: str) -> None:
        assert self.is_live, "a run ended twice"
        self.status, self.is_held_back = status, False
        self.ends.append(status)

    def begun_again(self) -> None:
        self.status, self.is_due, self.attempts, self.losses = "queued", True, 0, 0

    def agrees(self, row: Row, facts: Sequence[Row]) -> None:
        """Compare with the row, with the row as it was a step ago, and with what subscribers were told."""
        said = (row["status"], row["attempts"], row["losses"], row["fence"])
        assert said == (self.status, self.attempts, self.losses, max(self.fences, default=0))
        assert row["attempts"] <= row["max_attempts"]
        assert (row["lease_until"] is not None) == (self.status == "running")
        assert (row["finished_at"] is not None) == (not self.is_live)
        assert (row["queued_at"] is not None) == (self.status == "queued" and not self.is_held_back)
        self._only_moves_on(row)
        self._was_told(row, facts)
        self.seen = row

    def _only_moves_on(self, row: Row) -> None:
        if self.seen is None:
            return
        assert row["fence"] >= self.seen["fence"]
        changed = {name for name in row if name not in UNSHOWN and row[name] != self.seen[name]}
        if changed:
            assert row["version"] > self.seen["version"], changed
        else:
            assert row["version"] >= self.seen["version"]
        if not self.is_live and self.seen["status"] == self.status and self.seen["finished_at"]:
            assert row == self.seen, "an end is for good"

    def _was_told(self, row: Row, facts: Sequence[Row]) -> None:
        numbers = [fact["sequence"] for fact in facts]
        assert [fact["name"] for fact in facts] == [EVENTS[end] for end in self.ends]
        assert numbers == sorted(set(numbers))
        if not self.is_live:
            assert numbers[-1] == row["version"]


def agree(tasks: Mapping[TaskId, Expected], rows: Sequence[Row], facts: Sequence[Row]) -> None:
    """Hold every row against the rules."""
    assert {row["id"] for row in rows} == tasks.keys()
    assert len({fact["event_id"] for fact in facts}) == len(facts)
    for row in rows:
        own = [fact for fact in facts if fact["subject"] == row["id"]]
        tasks[row["id"]].agrees(row, own)
    live = [task.unique_key for task in tasks.values() if task.unique_key and task.is_live]
    assert len(live) == len(set(live))
