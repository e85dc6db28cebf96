"""The unit of work: the one scope of a command, opened explicitly and committed by a clean exit."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol, TypeVar
from uuid import UUID

from parlor.core.shared.events import Event


@dataclass(frozen=True, slots=True)
class OnceKey:
    """A request that may be repeated: who asks, under which key, and the SHA-256 of what was asked."""

    caller: str
    key: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class Earlier:
    """What the first request under the same key was answered with: its status and the ids it made."""

    status: int
    ids: tuple[UUID, ...]


class Work(Protocol):
    """What every context's work can do, beside the context's own repositories."""

    def publish(self, event: Event) -> None:
        """Append a fact: reactions get it before the commit, subscribers after it."""
        ...

    def after_commit(self, call: Callable[[], Awaitable[None]]) -> None:
        """Run `call` once the commit is in; its failure is logged and changes nothing."""
        ...

    async def once(self, key: OnceKey | None, *, status: int, ids: Sequence[UUID]) -> Earlier | None:
        """Claim the key for this transaction with the answer that it is about to give; None when it is the first.

        The first statement of a transaction, or none. A twin that still runs is waited for, up to the lock
        timeout of 2 s.

        Raises IdempotencyKeyReused (another request had this key within 24 h), IdempotencyInProgress.
        """
        ...

    async def amend(self, key: OnceKey | None, *, status: int, ids: Sequence[UUID]) -> None:
        """Replace the answer that `once` stored, where the use case found another one to give."""
        ...


WorkT_co = TypeVar("WorkT_co", covariant=True)


class UnitOfWork(Protocol[WorkT_co]):
    """Opens a work: a clean exit commits, an exception rolls everything back."""

    def __call__(self) -> AbstractAsyncContextManager[WorkT_co]: ...


EventT_contra = TypeVar("EventT_contra", bound=Event, contravariant=True)
WorkT_contra = TypeVar("WorkT_contra", contravariant=True)


class Reaction(Protocol[EventT_contra, WorkT_contra]):
    """What one context does, in the same transaction, about another's event. It opens no work and calls nobody."""

    async def __call__(self, event: EventT_contra, work: WorkT_contra) -> None: ...
