"""What tasks need from the world."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol, TypeVar

from parlor.core.shared.actor import Actor
from parlor.core.shared.bus import Delivery
from parlor.core.shared.handling import Handler, SyncHandler
from parlor.core.shared.ids import DeadLetterId, TaskId, UserId
from parlor.core.shared.paging import Page, PageRequest
from parlor.core.shared.work import Work
from parlor.core.tasks.model import (
    Attempt,
    DeadLetter,
    Ending,
    JsonObject,
    Progress,
    Task,
    TaskStatus,
)

AnyHandler = Handler[Any, Any] | SyncHandler[Any, Any]
AnswerT = TypeVar("AnswerT")


class Tasks(Protocol):
    """Tasks, for commands."""

    async def add(self, task: Task) -> None:
        """Store the task, and its outbox row when it is due.

        Once the transaction has committed, `status`, `run_at` and `created_at` say what the database's clock made
        of it.
        """
        ...

    async def add_unless_live(self, added: Sequence[Task]) -> Sequence[Task]:
        """Store each unless a live one has its kind and unique key; answers for each the one that lives."""
        ...

    async def get(self, task_id: TaskId) -> Task:
        """Raises NotFound. The row stays locked until the transaction ends."""
        ...

    async def save(self, task: Task) -> None:
        """Store where the task stands now, and raise its version; a queued one gets its outbox row.

        The database's clock says when it is due and when it ended. An end is told as an event, which the version
        numbers. Raises UniqueKeyTaken where a live one has its kind and unique key.
        """
        ...

    async def cancel_live(self, user_id: UserId, *, limit: int) -> Mapping[TaskId, int]:
        """Cancel up to so many of the tasks that are for this person and have not ended; answers their fences."""
        ...


class DeadLetters(Protocol):
    """The messages that could not be taken."""

    async def add(self, letter: DeadLetter) -> None:
        """Store the message as it came; one whose id is there already is the same, come again."""
        ...

    async def get(self, letter_id: DeadLetterId) -> DeadLetter:
        """Raises NotFound. The row stays locked until the transaction ends."""
        ...

    async def send_again(self, letter: DeadLetter) -> None:
        """Store that it was replayed, and an outbox row that holds all of its message: it outlives the letter."""
        ...

    async def remove(self, letter_id: DeadLetterId) -> None:
        """Raises NotFound."""
        ...

    async def has_row(self, task_id: TaskId) -> bool:
        """Whether a task of this id exists, whatever its state."""
        ...


class TaskWork(Work, Protocol):
    """A transaction of this context."""

    @property
    def tasks(self) -> Tasks: ...
    @property
    def letters(self) -> DeadLetters: ...


@dataclass(frozen=True, slots=True)
class Checked:
    """A payload that its kind takes, with its secret fields apart."""

    payload: JsonObject
    secrets: JsonObject | None


class Payloads(Protocol):
    """Checks and describes what handlers take and answer, from their annotations."""

    def check(self, kind: str, payload: JsonObject) -> Checked:
        """Raises Invalid with flaws at `/payload/...`."""
        ...

    def build(self, kind: str, payload: JsonObject) -> object:
        """Make the handler's own payload of a stored one; raises Invalid where the kind has changed since."""
        ...

    def result_json(self, kind: str, result: object) -> str:
        """Write a handler's result; raises ValueError where it is not JSON or not of its declared type."""
        ...

    def describe(self, kind: str) -> tuple[Mapping[str, object], Mapping[str, object]]:
        """Answer the JSON Schemas of payload and result."""
        ...


@dataclass(frozen=True, slots=True)
class Reaped:
    """What the reaper found: leases lost and put back, runs ended as `worker_lost`, messages published again."""

    put_back: int
    given_up: int
    republished: int


class Runs(Protocol):
    """Claims and their ends: each call is one transaction, each batch one statement."""

    async def claim(self, known: Sequence[TaskId], born: Sequence[Task]) -> list[Attempt]:
        """Claim what is queued, and give birth to what has no row yet; leases start now.

        What is ended, running or not yet due is not in the answer; nor is what is of a kind with a limit: it is
        held back from now on.
        """
        ...

    async def claim_held_back(self, most: int) -> list[Attempt]:
        """Claim what was held back and has room by now, at most so many; the requesters of a kind in turn."""
        ...

    async def renew(self, held: Mapping[TaskId, int]) -> set[TaskId]:
        """Extend the leases of these tasks under these fences; answers those that are still ours."""
        ...

    async def report(self, news: Mapping[TaskId, tuple[int, Progress]]) -> None:
        """Show the progress of the tasks under these fences."""
        ...

    async def finish(self, endings: Sequence[Ending]) -> set[TaskId]:
        """Store how runs ended, where the fence still matches; answers those that were accepted."""
        ...

    def alone(self) -> AbstractAsyncContextManager["FinishingWork"]:
        """Open the transaction of a handler that wants its changes and its result in one commit."""
        ...

    async def give_back(self, held: Mapping[TaskId, int]) -> None:
        """Put running tasks back to queued without having spent an attempt: a shutdown."""
        ...


class FinishingWork(Work, Protocol):
    """A handler's transaction, which ends its own task too."""

    async def finish(self, ending: Ending) -> bool:
        """Store the end in this transaction; False when the lease was lost, and then it must not commit."""
        ...


class Upkeep(Protocol):
    """What any worker does for all of them, in bounded batches."""

    async def release_due(self) -> int:
        """Queue the scheduled tasks whose time has come; answers how many."""
        ...

    async def reap(self, idle_queues: frozenset[str], *, unclaimed_s: float = 60) -> Reaped:
        """Put expired leases back, give up on what keeps killing its workers, publish again what was lost.

        Lost is what was due `unclaimed_s` ago, has no outbox row and is not claimed. Only queues that report no
        ready message are published to again.
        """
        ...

    async def forget_ended(self, keep: timedelta) -> int:
        """Delete a batch of tasks that ended longer ago than this, and of other old rows; answers how many."""
        ...

    async def forget_letters(self, keep: timedelta) -> int:
        """Delete a batch of dead letters that are older than this, replayed or not; answers how many."""
        ...

    async def forget_sessions(self, keep: timedelta) -> int:
        """Delete a batch of the sessions that have been over this long, and of their refresh tokens."""
        ...

    async def forget_logins(self, keep: timedelta) -> int:
        """Delete a batch of the login history's lines that are older than this; answers how many."""
        ...

    async def forget_messages(self, keep: timedelta) -> int:
        """Delete a batch of messages that are older than this; answers how many. What is left of a chat is its end."""
        ...


class Threads(Protocol):
    """Runs code that blocks, beside the event loop."""

    async def run(self, call: Callable[[], AnswerT]) -> AnswerT:
        """Call in a thread. Cancelled, it leaves the thread to itself and its answer unheard.

        Raises Busy while too many threads that were left to themselves still run.
        """
        ...


class Intake(Protocol):
    """What consumes, between start and close."""

    async def start(self) -> None: ...
    async def close(self) -> None: ...


KeepLetter = Callable[[DeadLetter, bool, Delivery], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class LetterSource:
    """Makes the consumer of the dead letters, which hands each over with whether the broker itself moved it."""

    into: Callable[[KeepLetter], Intake]


class TaskViews(Protocol):
    """Tasks as JSON, for readers: what the viewer may not see is not there."""

    async def one(self, viewer: Actor, task_id: TaskId) -> bytes:
        """Raises NotFound."""
        ...

    async def some(self, viewer: Actor, task_ids: Sequence[TaskId]) -> bytes:
        """Answer an array in the order of the ids; raises NotFound where one is missing."""
        ...

    async def page(
        self, viewer: Actor, page: PageRequest, *, status: TaskStatus | None, kind: str | None
    ) -> Page[bytes]: ...

    async def ended(self, viewer: Actor, task_id: TaskId) -> bool:
        """Whether its run is over; raises NotFound."""
        ...


class LetterViews(Protocol):
    """Dead letters as JSON, for those who hold `tasks:manage`; every method raises PermissionMissing for others."""

    async def one(self, viewer: Actor, letter_id: DeadLetterId) -> bytes:
        """Raises NotFound."""
        ...

    async def page(self, viewer: Actor, page: PageRequest, *, reason: str | None) -> Page[bytes]: ...

    async def ids(
        self, viewer: Actor, page: PageRequest, *, reason: str | None, replayed: bool
    ) -> Page[Sequence[DeadLetterId]]:
        """List the ids alone, newest first; without those that were replayed, unless `replayed`."""
        ...
