"""The message bus: what leaves through the outboxes, and what comes in to be run."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol
from uuid import UUID

from parlor.core.shared.ids import DeadLetterId, EventId, TaskId

# The feed's channels for the hint that an outbox has something: writers speak, relays listen. The hint of tasks names
# their queues, with commas between them, where the writer knows them.
TASKS_DUE = "outbox.tasks"
REPLAYS_DUE = "outbox.replays"
FACTS_DUE = "outbox.facts"

NO_HEADERS: Final[Mapping[str, object]] = MappingProxyType({})

# What a producer's message gains on its way: from the broker, and from us when it is refused.
_ADDED = frozenset({"x-death", "x-delivery-count", "x-acquired-count"})
_ADDED_PREFIXES = ("x-parlor-", "x-first-death-", "x-last-death-")


def is_producers(header: str) -> bool:
    """Tell a producer's own header from what was added to it."""
    return header not in _ADDED and not header.startswith(_ADDED_PREFIXES)


class Receipt(Enum):
    """What became of a message that was sent."""

    TAKEN = auto()
    """The broker has it."""
    WAITS = auto()
    """The broker is away, full, or without the queue: nothing that speaks against the message."""
    REFUSED = auto()
    """The broker does not take this message, whenever and however often it is sent."""

    def __bool__(self) -> bool:
        """Whether it has arrived."""
        return self is Receipt.TAKEN


# Deliveries and facts are made by the thousand: as frozen dataclasses they would take twice as long.


@dataclass(frozen=True, slots=True)
class DueTask:
    """A message that says: this task is due now. `queue` is its priority."""

    task_id: TaskId
    queue: str
    traceparent: str | None = None


class Fact(NamedTuple):
    """An event on its way to its subscribers; `sequence` counts its aggregate's events upwards."""

    event_id: EventId
    name: str
    version: int
    subject: UUID
    sequence: int
    happened_at: datetime
    body: Mapping[str, object]
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Replay:
    """A dead letter's message on its way to be taken again, as its producer sent it."""

    letter_id: DeadLetterId
    queue: str
    message_id: str | None
    headers: Mapping[str, object]
    body: bytes
    content_type: str | None
    properties: bytes | None


class Delivery(NamedTuple):
    """A message at hand. Who consumed it knows by `tag` how to acknowledge it."""

    message_id: str | None
    body: bytes
    queue: str
    headers: Mapping[str, object] = NO_HEADERS
    content_type: str | None = None
    tag: object = None


class MessageBus(Protocol):
    """Publishes with confirms: what is not confirmed within 5 s waits."""

    async def room(self, queue: str) -> int:
        """How many messages the queue may still take (2,000 at most are kept there, unclaimed). 0 while it is away."""
        ...

    async def send_tasks(self, due: Sequence[DueTask]) -> Sequence[Receipt]:
        """Publish all; answers what became of each. Never raises."""
        ...

    async def send_facts(self, facts: Sequence[Fact]) -> Sequence[Receipt]:
        """Publish all in order; answers what became of each. Never raises."""
        ...

    async def send_replays(self, replays: Sequence[Replay]) -> Sequence[Receipt]:
        """Publish them, one by one; what is taken is in safe hands. Never raises."""
        ...

    async def idle_queues(self) -> frozenset[str]:
        """The queues that report no ready message; none while the broker is away."""
        ...


class QueueDepths(Protocol):
    """How long the broker's queues are, for whoever looks at them."""

    async def ready(self, queue: str) -> int | None:
        """Count the messages that no consumer has taken, producers' own among them; None while there is no answer."""
        ...


SendTasks = Callable[[Sequence[DueTask]], Awaitable[Sequence[Receipt]]]
SendFacts = Callable[[Sequence[Fact]], Awaitable[Sequence[Receipt]]]
SendReplays = Callable[[Sequence[Replay]], Awaitable[Sequence[Receipt]]]


class Outboxes(Protocol):
    """What was committed and is not yet published.

    A row that the broker refuses 10 times is put aside; one that only waits stays, however long that takes.
    """

    async def relay_tasks(self, queue: str, limit: int, send: SendTasks) -> int:
        """Lock up to `limit` due rows, taking requesters in turn, send them, delete the confirmed.

        Answers how many were confirmed. Any number of relays may run at once.
        """
        ...

    async def relay_facts(self, lanes: Sequence[int], limit: int, send: SendFacts) -> int:
        """The same for lanes of events, each in its order; without those that another relay holds."""
        ...

    async def relay_replays(self, queue: str, limit: int, send: SendReplays) -> int:
        """The same for messages that are replayed, in the order in which that was asked for."""
        ...

    async def busy_queues(self) -> Sequence[str]:
        """The queues that have something to publish, the most urgent first."""
        ...

    async def busy_lanes(self) -> Sequence[int]:
        """The lanes that have something to publish."""
        ...

    async def busy_replays(self) -> Sequence[str]:
        """The queues to which something is to be replayed."""
        ...


class Inbox(Protocol):
    """Deliveries of tasks, and their settlement."""

    async def take(self, limit: int) -> list[Delivery]:
        """Wait for at least one delivery; answers at most `limit`."""
        ...

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Settle them; one whose channel has gone is dropped here and comes again by itself."""
        ...

    async def give_back(self, deliveries: Sequence[Delivery]) -> None:
        """Return them to their queues: they come again, here or elsewhere."""
        ...

    async def pause(self) -> None:
        """Take no more from the broker; what is at hand stays."""
        ...

    async def refuse(self, delivery: Delivery, reason: str, detail: str) -> None:
        """Move it to the dead letters, as it came, with the reason; then settle it."""
        ...
