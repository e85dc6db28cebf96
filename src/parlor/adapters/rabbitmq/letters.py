"""The dead letters' intake: from their queue to whoever keeps them."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from functools import partial
from hashlib import sha256
from uuid import UUID, uuid5

import structlog
from aiormq.channel import Channel

from parlor.adapters.rabbitmq.connection import Line, Link
from parlor.adapters.rabbitmq.refusal import DEATHS, DETAIL, LETTER, REASON, as_sent, is_from_broker
from parlor.adapters.rabbitmq.sieve import Received, Sieve
from parlor.adapters.rabbitmq.streams import Stream, delivery_of, mark_of, unsieved
from parlor.adapters.rabbitmq.supervision import end, pause
from parlor.adapters.rabbitmq.topology import RPC_S, Names
from parlor.core.shared.bus import Delivery
from parlor.core.shared.ids import DeadLetterId, uuid7
from parlor.core.tasks.model import DeadLetter, priority_of
from parlor.core.tasks.reasons import Reason

PREFETCH = 16
RETURNED = "x-delivery-count"
NOT_SHOWN = (RETURNED, "x-acquired-count", LETTER)
OF_THE_BROKER = UUID("0c5af9b1-80dd-4a19-b1f2-710db4e737f3")

Keep = Callable[[DeadLetter, bool, Delivery], Awaitable[None]]

log = structlog.get_logger()


class DeadLetterIntake:
    """Hands every dead letter over, with whether the broker itself moved it; it is gone once it was taken."""

    def __init__(self, link: Link, keep: Keep) -> None:
        self._names = Names(link.namespace)
        self._keep = keep
        self._line = Line(link, prepare=self._consume, lost=self._lose)
        self._stream: Stream | None = None
        self._keeping: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Begin to consume; does not wait for it."""
        await self._line.start()

    async def close(self) -> None:
        """Stop, and give back what was not taken."""
        for keeping in list(self._keeping):
            await end(keeping)
        await self._line.close()

    async def _consume(self, channel: Channel, sieve: Sieve) -> None:
        self._stream = stream = Stream(channel)
        sieve.receivers[channel.number] = partial(self._receive, stream)
        channel.on_consumer_cancel_callbacks.add(lambda _: self._line.replace(channel))
        await channel.basic_qos(prefetch_count=PREFETCH, timeout=RPC_S)
        await channel.basic_consume(self._names.dead_letters, unsieved, timeout=RPC_S)

    def _receive(self, stream: Stream, message: Received) -> None:
        if not stream.alive:
            return
        delivery = delivery_of(message, stream, priority_of(message.routing_key))
        keeping = asyncio.create_task(self._hand_over(stream, delivery))
        self._keeping.add(keeping)
        keeping.add_done_callback(self._keeping.discard)

    async def _hand_over(self, stream: Stream, delivery: Delivery) -> None:
        tag = mark_of(delivery).tag
        try:
            await self._keep(letter_of(delivery), is_from_broker(delivery), delivery)
        except Exception as error:  # noqa: BLE001 - whatever it is, the letter must stay
            log.warning("dead_letter_not_kept", error=type(error).__name__, detail=str(error))
            await asyncio.sleep(pause(_returns(delivery)))
            await stream.requeue([tag])
        else:
            await stream.acknowledge([tag])

    def _lose(self) -> None:
        if self._stream is not None:
            self._stream.alive = False


def letter_of(delivery: Delivery) -> DeadLetter:
    """Make a dead letter of a message, such that a database takes it."""
    reason, detail = _why(delivery)
    headers = {key: value for key, value in delivery.headers.items() if key not in NOT_SHOWN}
    return DeadLetter(
        reason=storable(reason),
        detail=storable(detail),
        message_id=_optional(delivery.message_id),
        routing_key=storable(mark_of(delivery).routing_key),
        headers={storable(key): plain(value) for key, value in headers.items()},
        body=delivery.body,
        content_type=_optional(delivery.content_type),
        properties=as_sent(delivery).marshal(),
        id=id_of(delivery),
    )


def id_of(delivery: Delivery) -> DeadLetterId:
    """Name a letter, so that it is stored once however often it comes: as who refused it did, or by its death."""
    properties = mark_of(delivery).properties
    with suppress(ValueError):
        return DeadLetterId(UUID(properties.header_text(LETTER) or ""))
    deaths = properties.header(DEATHS)
    if deaths is None:
        return DeadLetterId(
            uuid7()
        )  # whoever published it there did not say: another one like it is another one
    # Its properties too: twins without an id, or with the same one, die within the second that the broker notes.
    told = b"\0".join([sha256(as_sent(delivery).marshal()).digest(), sha256(delivery.body).digest(), deaths])
    return DeadLetterId(uuid5(OF_THE_BROKER, sha256(told).hexdigest()))


def plain(value: object) -> object:
    """Write what may stand in an AMQP table as JSON does."""
    if isinstance(value, dict):
        return {storable(str(key)): plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, bytes | bytearray):
        return storable(value.decode(errors="replace"))
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Decimal) or (isinstance(value, float) and not math.isfinite(value)):
        return str(value)
    return storable(value) if isinstance(value, str) else value


def storable(text: str) -> str:
    """Replace the one character that PostgreSQL keeps in no text."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


def _optional(text: str | None) -> str | None:
    return None if text is None else storable(text)


def _why(delivery: Delivery) -> tuple[str, str]:
    if is_from_broker(delivery):
        return Reason.DELIVERY_LIMIT, "The broker gave it up after it had come back too often."
    properties = mark_of(delivery).properties
    return properties.header_text(REASON) or Reason.INVALID_MESSAGE, properties.header_text(DETAIL) or ""


def _returns(delivery: Delivery) -> int:
    count = delivery.headers.get(RETURNED, 0)
    return count if isinstance(count, int) else 0
