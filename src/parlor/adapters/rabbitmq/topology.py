"""The exchanges and queues, declared as often as one likes."""

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiormq.abc import AbstractChannel
from aiormq.exceptions import ChannelNotFoundEntity, ChannelPreconditionFailed
from pamqp.common import FieldValue

QUEUES = ("high", "default", "low")
DELIVERY_LIMIT = 20
# RabbitMQ 4 drops what was returned 20 times unless told otherwise; a dead letter has nowhere else to go.
NO_LIMIT = 2**31 - 1
RPC_S = 5.0
INEQUIVALENT = re.compile(
    r"inequivalent arg '(?P<argument>[^']+)' for (?:queue|exchange) '(?P<name>[^']+)'.*?: "
    r"received (?P<wanted>.+?) but current is (?P<found>.+)$",
    re.DOTALL,
)


class TopologyMismatch(Exception):
    """A queue or an exchange of ours exists with other arguments; the message names the difference."""

    def __init__(self, name: str, difference: str) -> None:
        super().__init__(
            f"{name} exists with other arguments: {difference}. "
            "Delete it when it is empty, or choose another PARLOR_NAMESPACE."
        )
        self.name = name
        self.difference = difference


class TopologyMissing(Exception):
    """A queue or an exchange of ours does not exist."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} does not exist; `parlor topology` declares it.")
        self.name = name


@dataclass(frozen=True, slots=True)
class Names:
    """What everything is called in a namespace."""

    namespace: str

    @property
    def tasks(self) -> str:
        return f"{self.namespace}.tasks"

    @property
    def events(self) -> str:
        return f"{self.namespace}.events"

    @property
    def dead_letters(self) -> str:
        return f"{self.namespace}.dead-letters"

    def queue(self, priority: str) -> str:
        return f"{self.tasks}.{priority}"

    def exchanges(self) -> Mapping[str, str]:
        return {self.tasks: "direct", self.events: "topic", self.dead_letters: "fanout"}

    def queues(self) -> Mapping[str, dict[str, FieldValue]]:
        tasks: dict[str, FieldValue] = {
            "x-queue-type": "quorum",
            "x-delivery-limit": DELIVERY_LIMIT,
            "x-dead-letter-exchange": self.dead_letters,
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        }
        letters: dict[str, FieldValue] = {"x-queue-type": "quorum", "x-delivery-limit": NO_LIMIT}
        return {self.dead_letters: letters} | {self.queue(each): tasks for each in QUEUES}

    def bindings(self) -> Iterator[tuple[str, str, str]]:
        """Answer queue, exchange and routing key of each."""
        yield self.dead_letters, self.dead_letters, ""
        for each in QUEUES:
            yield self.queue(each), self.tasks, each


async def declare(channel: AbstractChannel, namespace: str) -> None:
    """Make what is not there yet; raises TopologyMismatch."""
    names = Names(namespace)
    for name, kind in names.exchanges().items():
        async with _told(name):
            await channel.exchange_declare(name, exchange_type=kind, durable=True, timeout=RPC_S)
    for name, arguments in names.queues().items():
        async with _told(name):
            await channel.queue_declare(name, durable=True, arguments=arguments, timeout=RPC_S)
    for queue, exchange, key in names.bindings():
        await channel.queue_bind(queue, exchange, key, timeout=RPC_S)


async def check(channel: AbstractChannel, namespace: str) -> None:
    """Look whether all is there, and change nothing; raises TopologyMissing."""
    names = Names(namespace)
    for name in names.exchanges():
        async with _told(name):
            await channel.exchange_declare(name, passive=True, timeout=RPC_S)
    for name in names.queues():
        async with _told(name):
            await channel.queue_declare(name, passive=True, timeout=RPC_S)


@asynccontextmanager
async def _told(name: str) -> AsyncIterator[None]:
    try:
        yield
    except ChannelPreconditionFailed as error:
        raise TopologyMismatch(name, difference(str(error.args[0]))) from error
    except ChannelNotFoundEntity as error:
        raise TopologyMissing(name) from error


def difference(text: str) -> str:
    """Take out of the broker's words what differs."""
    found = INEQUIVALENT.search(text)
    if found is None:
        return text
    return f"{found['argument']} is {_value(found['found'])} and should be {_value(found['wanted'])}"


def _value(text: str) -> str:
    """Shorten "the value '20' of type 'signedint'"."""
    return re.sub(r"^the value ('.*') of type '.*'$", r"\1", text.strip())
