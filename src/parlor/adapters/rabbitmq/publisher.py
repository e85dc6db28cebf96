"""The message bus over RabbitMQ: due tasks and facts leave through here."""

from collections.abc import Mapping, Sequence

import orjson
import structlog

from parlor.adapters.rabbitmq.cloud_events import attributes, plain
from parlor.adapters.rabbitmq.depths import Depths
from parlor.adapters.rabbitmq.frames import short_text
from parlor.adapters.rabbitmq.outlet import Outgoing, Outlet
from parlor.adapters.rabbitmq.properties import FLAGS, PERSISTENT, Properties, entry, text_entry
from parlor.adapters.rabbitmq.topology import QUEUES, Names
from parlor.core.shared.bus import DueTask, Fact, Receipt, Replay

ROOM = 2_000
ROW = entry("x-parlor-row", b"I" + (1).to_bytes(4))
# What all of our messages have, with the flags that say so.
JSON = short_text("application/json")
HAS = sum(FLAGS[name] for name in ("content_type", "headers", "delivery_mode", "message_id")).to_bytes(2)

log = structlog.get_logger()


class RabbitBus:
    """Publishes with confirms; while the broker is away, or takes nothing, all waits."""

    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet
        self._replays = Outlet(outlet.link, singly=True)  # foreign ids cannot tell which of many was returned
        self._depths = Depths(outlet.link)
        self._names = Names(outlet.link.namespace)

    async def start(self) -> None:
        """Begin to open channels for questions and for replays; does not wait for them."""
        await self._depths.start()
        await self._replays.start()

    async def close(self) -> None:
        """Close them."""
        await self._replays.close()
        await self._depths.close()

    async def check(self) -> None:
        """Raise ConnectionError unless the broker would take a message."""
        if not self._outlet.ready:
            raise ConnectionError("no connection, or the broker takes no messages")

    async def room(self, queue: str) -> int:
        ready = await self._depths.ready(queue)
        return 0 if ready is None else max(0, ROOM - ready)

    async def depths(self) -> Mapping[str, int]:
        """Count the messages of each queue that no consumer has taken; raises ConnectionError where nobody says."""
        known = {queue: await self._depths.ready(queue) for queue in QUEUES}
        found = {queue: ready for queue, ready in known.items() if ready is not None}
        if len(found) < len(known):
            raise ConnectionError("the broker does not say how deep its queues are")
        return found

    async def idle_queues(self) -> frozenset[str]:
        return frozenset([queue for queue in QUEUES if await self._depths.ready(queue) == 0])

    async def send_tasks(self, due: Sequence[DueTask]) -> Sequence[Receipt]:
        # Of two with one id the broker's "returned" would not say which it means.
        distinct = {each.task_id: each for each in due}
        sent = await self._outlet.publish([self._task(each) for each in distinct.values()])
        confirmed = dict(zip(distinct, sent, strict=True))
        return [confirmed[each.task_id] for each in due]

    async def send_facts(self, facts: Sequence[Fact]) -> Sequence[Receipt]:
        written = [self._fact(each) for each in facts]
        sent = iter(await self._outlet.publish([each for each in written if each is not None]))
        return [Receipt.REFUSED if each is None else next(sent) for each in written]

    async def send_replays(self, replays: Sequence[Replay]) -> Sequence[Receipt]:
        return await self._replays.publish([self._replay(each) for each in replays])

    def _task(self, due: DueTask) -> Outgoing:
        task_id = str(due.task_id)
        return Outgoing(
            exchange=self._names.tasks,
            routing_key=due.queue,
            message_id=task_id,
            properties=_properties(task_id, ROW + _traced(due.traceparent)),
            body=b'{"id": "%b"}' % task_id.encode(),
            mandatory=True,
        )

    def _replay(self, replay: Replay) -> Outgoing:
        properties = _sent_again(replay)
        return Outgoing(
            exchange=self._names.tasks,
            routing_key=replay.queue,
            message_id=properties.text("message_id") or "",
            properties=properties.marshal(),
            body=replay.body,
            mandatory=True,
        )

    def _fact(self, fact: Fact) -> Outgoing | None:
        event_id = plain(fact.event_id).decode()
        try:
            body = orjson.dumps(fact.body)
            properties = _properties(event_id, attributes(fact) + _traced(fact.traceparent))
        except (TypeError, ValueError):  # orjson's own error is a TypeError
            log.exception("fact_unwritable", fact=fact.name, event_id=event_id)
            return None
        return Outgoing(self._names.events, fact.name, event_id, properties, body)


def _sent_again(replay: Replay) -> Properties:
    """Take the producer's own, without the user: the broker would refuse any but ours."""
    if replay.properties is not None:
        return Properties.parse(replay.properties).without("user_id")
    texts = {"content_type": replay.content_type, "message_id": replay.message_id}
    known = Properties({"delivery_mode": PERSISTENT})
    return known.with_texts({name: text for name, text in texts.items() if text is not None})


def _traced(traceparent: str | None) -> bytes:
    return b"" if traceparent is None else text_entry("traceparent", traceparent)


def _properties(message_id: str, headers: bytes) -> bytes:
    return b"%b%b%b%b%b%b" % (
        HAS,
        JSON,
        len(headers).to_bytes(4),
        headers,
        PERSISTENT,
        short_text(message_id),
    )
