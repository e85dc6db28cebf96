"""What the author of a task kind meets: a handler, its context, and the two ways to say how it failed."""

from datetime import timedelta
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

from parlor.core.shared.actor import Actor
from parlor.core.shared.ids import TaskId
from parlor.core.shared.work import Work

PayloadT_contra = TypeVar("PayloadT_contra", contravariant=True)
ResultT_co = TypeVar("ResultT_co", covariant=True)


class HandlerLog(Protocol):
    """Log lines that carry the task's id, kind, attempt and trace. Ids and numbers, never bodies."""

    def info(self, event: str, **fields: Any) -> Any: ...
    def warning(self, event: str, **fields: Any) -> Any: ...


class Run(Protocol):
    """What every handler may know of the run that it is called in."""

    @property
    def task_id(self) -> TaskId:
        """The same in every attempt, so it serves as an idempotency key."""
        ...

    @property
    def attempt(self) -> int:
        """1 for the first attempt; lost ones count."""
        ...

    @property
    def requester(self) -> Actor:
        """Who asked for the task, holding no permission: those were asked for when it was ordered."""
        ...

    @property
    def traceparent(self) -> str | None:
        """The trace of whoever asked for the task (W3C Trace Context), if there is one."""
        ...

    @property
    def log(self) -> HandlerLog: ...


class Context(Run, Protocol):
    """The run of an `async` handler."""

    async def progress(self, current: int, total: int, message: str = "") -> None:
        """Show readers how far it is: `current` of `total`, in units of the handler's own.

        Cheap: only the newest is stored, a few times a second. Never fails the task.
        """
        ...

    async def work(self) -> Work:
        """Answer the transaction that will also store this task's result: opened by the first call, then the same.

        What is done in it and the task's end are one commit: that is how an effect in the database happens once,
        although delivery is at least once. A handler that fails rolls it back. It holds a connection until the
        handler ends, so whatever is slow comes before it.
        """
        ...


class Handler(Protocol[PayloadT_contra, ResultT_co]):
    """One kind of task: a typed payload in, a typed result out.

    Payload and result are dataclasses, read from the annotations of `__call__`; ports come by the constructor.
    `permission` is what a requester needs beside `tasks:create`; None for nothing more.

    Delivery is at least once: an effect in the database belongs into `context.work()`, one outside of it needs an
    idempotency key (the task's id serves). `Fail` ends the task; so do Invalid, Forbidden, NotFound and Conflict,
    with their own code. After `Retry`, or anything else that is raised, there is another attempt while one is left.
    """

    kind: ClassVar[str]
    permission: ClassVar[str | None]

    async def __call__(self, payload: PayloadT_contra, context: Context) -> ResultT_co: ...


class ThreadContext(Run, Protocol):
    """The run of a synchronous handler, in a thread of its own."""

    @property
    def abandoned(self) -> bool:
        """Whether nobody waits for the result any more. A thread cannot be stopped: look at this between steps."""
        ...

    def progress(self, current: int, total: int, message: str = "") -> None:
        """Show how far it is. Never fails the task."""
        ...


class SyncHandler(Protocol[PayloadT_contra, ResultT_co]):
    """A kind of task whose code blocks: a plain `def __call__` runs in a thread, beside the event loop.

    At its timeout, or when its task is cancelled, the thread is abandoned: it runs on, and its result is dropped.
    It has no transaction: what belongs into one is for an `async` handler.
    """

    kind: ClassVar[str]
    permission: ClassVar[str | None]

    def __call__(self, payload: PayloadT_contra, context: ThreadContext) -> ResultT_co: ...


@runtime_checkable
class Limited(Protocol):
    """A handler of which only `concurrency` run at once, over all workers; the others wait, requesters in turn."""

    concurrency: ClassVar[int]


@runtime_checkable
class Internal(Protocol):
    """A handler of what Parlor alone orders: nobody can ask for its kind, and it is in no list of kinds."""

    internal: ClassVar[bool]


class Retry(Exception):
    """Try again later: after `after`, or after the usual backoff. At `max_attempts` it is the task's error."""

    def __init__(self, code: str, message: str, *, after: timedelta | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.after = after


class Fail(Exception):
    """End as failed at once: another attempt would not mend it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
