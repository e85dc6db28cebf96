"""Whatever comes over RabbitMQ: the worker goes on, nothing is lost, and what is good is run in between."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import pytest
from pika import BasicProperties, BlockingConnection, URLParameters
from pika.exceptions import AMQPError

from parlor.adapters.rabbitmq.properties import Properties
from tests.fleet import Fleet, Process
from tests.fuzz.budget import Budget
from tests.fuzz.messages import Message, Raw, drawn
from tests.waiting import eventually

BUDGET = Budget.of(80)
EVERY = 10  # a good one behind so many others
CARD = json.dumps({"kind": "truth_or_dare", "payload": {}}).encode()
PATIENCE_S = 30.0 + BUDGET.examples / 20
FINGERPRINT = "select encode(properties, 'escape') from dead_letters"
# What the log may not hold: an error of ours, or a letter that comes again and again.
SYMPTOMS = ('"level":"error"', "dead_letter_not_kept", "Traceback", "rabbitmq_lost")


@dataclass
class Sending:
    """One producer; a message that the broker itself refuses costs its connection, and counts as never sent."""

    url: str
    namespace: str
    sent: list[Message] = field(default_factory=list)
    good: list[UUID] = field(default_factory=list)

    def send_all(self, messages: Sequence[Message]) -> None:
        """Publish them with confirms, good ones in between and at the end."""
        waiting = list(messages)
        while waiting:
            with BlockingConnection(URLParameters(self.url)) as connection, suppress(AMQPError):
                channel = connection.channel()
                channel.confirm_delivery()
                while waiting:
                    message = waiting.pop(0)
                    exchange, key = (part.format(self.namespace) for part in (message.exchange, message.key))
                    channel.basic_publish(exchange, key, message.body, message.properties, mandatory=True)
                    self.sent.append(message)
                    if len(self.sent) % EVERY == 0 or not waiting:
                        self.good.append(uuid4())
                        properties = BasicProperties(message_id=str(self.good[-1]), delivery_mode=2)
                        channel.basic_publish(f"{self.namespace}.tasks", "default", CARD, properties)


@asynccontextmanager
async def a_worker(fleet: Fleet, trusting: str) -> AsyncIterator[Process]:
    fleet.settings["PARLOR_TRUST_PRODUCERS"] = trusting
    worker = await fleet.worker()
    try:
        yield worker
    finally:
        worker.kill()


@pytest.mark.parametrize("trusting", ["false", "true"])
async def test_whatever_is_sent_the_worker_goes_on_and_nothing_is_lost(fleet: Fleet, trusting: str) -> None:
    sending = Sending(fleet.rabbitmq_url, fleet.namespace)
    async with a_worker(fleet, trusting) as worker:
        await asyncio.to_thread(sending.send_all, drawn(BUDGET))
        assert len(sending.sent) > BUDGET.examples // 2
        lost = list[Message]()

        async def settled() -> bool:
            lost[:] = await not_found(fleet, sending.sent)
            return not lost and await ran(fleet, sending.good)

        with suppress(AssertionError):
            await eventually(settled, within=PATIENCE_S)
        assert not lost, "\n".join(map(str, lost))
        assert await ran(fleet, sending.good)
        await eventually(lambda: asyncio.to_thread(is_empty, fleet))
        assert worker.child.poll() is None
    log = worker.log.read_text()
    assert not [line for line in log.splitlines() if any(symptom in line for symptom in SYMPTOMS)]


async def not_found(fleet: Fleet, sent: Sequence[Message]) -> list[Message]:
    """Tell which are neither a task nor a dead letter."""
    async with fleet.database() as database:
        tasks = {row["id"] for row in await database.fetch("select id from tasks")}
        letters = "\n".join(row[0] or "" for row in await database.fetch(FINGERPRINT))
        forged = {row["id"] for row in await database.fetch("select id from dead_letters")}
    return [
        message
        for message in sent
        if message.mark not in letters
        and not stated_ids(message) & tasks
        and not may_vanish(message)
        and _uuid(_properties(message.properties).header_text("x-parlor-letter")) not in forged
    ]


def may_vanish(message: Message) -> bool:
    """Whether it only announces a row, or is given a time among the dead letters, where none has any."""
    is_dead = message.exchange != "{}.tasks"
    return "x-parlor-row" in message.names or (is_dead and "expiration" in message.properties.values)


async def ran(fleet: Fleet, good: Sequence[UUID]) -> bool:
    """Whether all of these have succeeded."""
    async with fleet.database() as database:
        asked = "select count(*) from tasks where id = any($1) and status = 'succeeded'"
        return bool(await database.fetchval(asked, good) == len(good))


def is_empty(fleet: Fleet) -> bool:
    """Whether nothing waits in any queue."""
    queues = [
        f"{fleet.namespace}.{queue}" for queue in ("tasks.high", "tasks.default", "tasks.low", "dead-letters")
    ]
    with BlockingConnection(URLParameters(fleet.rabbitmq_url)) as connection:
        channel = connection.channel()
        return not any(channel.queue_declare(queue, passive=True).method.message_count for queue in queues)


def stated_ids(message: Message) -> set[UUID]:
    """Find the ids that a message states, wherever one may stand."""
    properties = _properties(message.properties)
    stated: list[object] = [properties.text("message_id")]
    for name in ("cloudEvents:id", "cloudEvents_id"):
        value = properties.header(name)
        stated.append(None if value is None else value[5:].decode(errors="replace"))
    with suppress(ValueError, RecursionError):
        said = json.loads(message.body)
        stated.append(said.get("id") if isinstance(said, dict) else None)
    return {found for one in stated if (found := _uuid(one)) is not None}


def _properties(raw: Raw) -> Properties:
    return Properties(raw.values)


def _uuid(text: object) -> UUID | None:
    try:
        return UUID(str(text))
    except ValueError:
        return None
