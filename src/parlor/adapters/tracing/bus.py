"""The message bus with a span for each message that was sent, whose `traceparent` goes along."""

from collections.abc import Sequence
from dataclasses import replace

from parlor.core.shared.bus import DueTask, Fact, MessageBus, Receipt, Replay
from parlor.core.shared.spans import Span, SpanKind, Tracer


class TracedBus:
    """Port `MessageBus`. What waits is sent again, and has its span then; of a span that is not ended nobody hears."""

    def __init__(self, bus: MessageBus, tracer: Tracer, *, system: str, namespace: str) -> None:
        self._bus = bus
        self._tracer = tracer
        self._system = system
        self._tasks, self._events = f"{namespace}.tasks", f"{namespace}.events"

    async def room(self, queue: str) -> int:
        return await self._bus.room(queue)

    async def idle_queues(self) -> frozenset[str]:
        return await self._bus.idle_queues()

    async def send_tasks(self, due: Sequence[DueTask]) -> Sequence[Receipt]:
        spans = [self._begin(self._tasks, one.queue, str(one.task_id), one.traceparent) for one in due]
        traced = [replace(one, traceparent=span.traceparent) for one, span in zip(due, spans, strict=True)]
        return _ended(spans, await self._bus.send_tasks(traced))

    async def send_facts(self, facts: Sequence[Fact]) -> Sequence[Receipt]:
        spans = [self._begin(self._events, one.name, str(one.event_id), one.traceparent) for one in facts]
        traced = [one._replace(traceparent=span.traceparent) for one, span in zip(facts, spans, strict=True)]
        return _ended(spans, await self._bus.send_facts(traced))

    async def send_replays(self, replays: Sequence[Replay]) -> Sequence[Receipt]:
        """As they came: their trace is their producer's."""
        return await self._bus.send_replays(replays)

    def _begin(self, exchange: str, routing_key: str, message_id: str, parent: str | None) -> Span:
        destination = f"{exchange}:{routing_key}"
        facts = {
            "messaging.system": self._system,
            "messaging.operation.name": "send",
            "messaging.operation.type": "send",
            "messaging.destination.name": destination,
            "messaging.message.id": message_id,
        }
        return self._tracer.begin(f"send {destination}", SpanKind.PRODUCER, parent=parent, facts=facts)


def _ended(spans: Sequence[Span], receipts: Sequence[Receipt]) -> Sequence[Receipt]:
    for span, receipt in zip(spans, receipts, strict=True):
        if receipt is not Receipt.WAITS:
            span.end(error="refused" if receipt is Receipt.REFUSED else None)
    return receipts
