"""The command ports of tasks in memory, and kinds whose handlers a test writes."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from parlor.adapters.payloads import PydanticPayloads
from parlor.core.shared.bus import Replay
from parlor.core.shared.clock import Clock
from parlor.core.shared.errors import Contended, NotFound
from parlor.core.shared.handling import Context, ThreadContext
from parlor.core.shared.ids import DeadLetterId, TaskId, UserId
from parlor.core.shared.rules import Length, Secret
from parlor.core.tasks.kinds import Kinds
from parlor.core.tasks.model import DeadLetter, Task, TaskStatus, UniqueKeyTaken
from parlor.core.tasks.ports import AnyHandler


@dataclass(slots=True)
class TaskStore:
    """Rows by their id."""

    tasks: dict[TaskId, Task] = field(default_factory=dict)
    letters: dict[DeadLetterId, DeadLetter] = field(default_factory=dict)
    replays: list[Replay] = field(default_factory=list)


class FakeTasks:
    """Port Tasks."""

    def __init__(self, store: TaskStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def add(self, task: Task) -> None:
        now = self._clock()
        due = task.run_at is None or task.run_at <= now
        task.status = TaskStatus.QUEUED if due else TaskStatus.SCHEDULED
        task.run_at = task.run_at or now
        task.created_at = now
        self._store.tasks[task.id] = deepcopy(task)

    async def add_unless_live(self, added: Sequence[Task]) -> Sequence[Task]:
        living: list[Task] = []
        for task in added:
            twin = self._twin(task)
            if twin is None:
                await self.add(task)
            living.append(twin or task)
        return living

    def _twin(self, task: Task) -> Task | None:
        if task.unique_key is None:
            return None
        others = (other for other in self._store.tasks.values() if other.id != task.id)
        key = (task.kind, task.unique_key)
        alike = (one for one in others if (one.kind, one.unique_key) == key and not one.status.ended)
        return deepcopy(next(alike, None))

    async def get(self, task_id: TaskId) -> Task:
        if task_id not in self._store.tasks:
            raise NotFound
        return deepcopy(self._store.tasks[task_id])

    async def save(self, task: Task) -> None:
        if self._store.tasks[task.id].version != task.version:
            raise Contended("tasks")
        if not task.status.ended and self._twin(task) is not None:
            raise UniqueKeyTaken
        now = self._clock()
        task.version += 1
        stored = deepcopy(task)
        stored.run_at = task.run_at or now
        stored.finished_at = now if task.status.ended else None
        self._store.tasks[task.id] = stored

    async def cancel_live(self, user_id: UserId, *, limit: int) -> Mapping[TaskId, int]:
        mine = (task for task in self._store.tasks.values() if task.requested_by.user_id == user_id)
        live = sorted((task for task in mine if not task.status.ended), key=lambda task: task.id)[:limit]
        for task in live:
            task.cancel()
            task.finished_at = self._clock()
            task.version += 1
        return {task.id: task.fence for task in live}


class FakeDeadLetters:
    """Port DeadLetters."""

    def __init__(self, store: TaskStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def add(self, letter: DeadLetter) -> None:
        kept = deepcopy(letter)
        kept.dead_at = self._clock()
        self._store.letters.setdefault(letter.id, kept)

    async def get(self, letter_id: DeadLetterId) -> DeadLetter:
        if letter_id not in self._store.letters:
            raise NotFound
        return deepcopy(self._store.letters[letter_id])

    async def send_again(self, letter: DeadLetter) -> None:
        self._store.letters[letter.id].replayed_at = letter.replayed_at
        same = ("message_id", "headers", "body", "content_type", "properties")
        self._store.replays.append(
            Replay(letter.id, letter.queue, **{name: getattr(letter, name) for name in same})
        )

    async def remove(self, letter_id: DeadLetterId) -> None:
        if self._store.letters.pop(letter_id, None) is None:
            raise NotFound

    async def has_row(self, task_id: TaskId) -> bool:
        return task_id in self._store.tasks


@dataclass(frozen=True, slots=True)
class Note:
    """What the kind `note` takes."""

    text: Annotated[str, Length(1, 100)] = "hello"
    password: Annotated[str | None, Secret()] = None


@dataclass(frozen=True, slots=True)
class Echo:
    """What it answers."""

    text: str


Act = Callable[[Note, Context], Awaitable[object]]


async def echo(payload: Note, _context: Context) -> object:
    return Echo(payload.text)


@dataclass(slots=True)
class NoteHandler:
    """Does what the test says; by default it echoes."""

    kind: ClassVar[str] = "note"
    permission: ClassVar[str | None] = None
    act: Act = echo

    async def __call__(self, payload: Note, context: Context) -> Echo:
        return await self.act(payload, context)  # type: ignore[return-value]  # a test may answer anything


class SecretNoteHandler(NoteHandler):
    """The same for holders of a permission."""

    kind: ClassVar[str] = "secret_note"
    permission: ClassVar[str | None] = "tasks:create:secret_note"


Block = Callable[[Note, ThreadContext], Echo]


@dataclass(slots=True)
class BlockingNoteHandler:
    """Does what the test says, in a thread."""

    block: Block
    kind: ClassVar[str] = "blocking_note"
    permission: ClassVar[str | None] = None

    def __call__(self, payload: Note, context: ThreadContext) -> Echo:
        return self.block(payload, context)


def kinds_that(act: Act = echo, *, more: Sequence[AnyHandler] = ()) -> Kinds:
    """Register `note` and `secret_note`, which both do this, and what else is given."""
    handlers: list[AnyHandler] = [NoteHandler(act), SecretNoteHandler(act), *more]
    return Kinds.of(handlers, PydanticPayloads(handlers))
