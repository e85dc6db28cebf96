"""A message on its way to the dead letters: as it came, with the reason."""

from collections.abc import Mapping

from parlor.adapters.rabbitmq.frames import OVERHEAD
from parlor.adapters.rabbitmq.outlet import LARGEST_FRAME, Outgoing
from parlor.adapters.rabbitmq.properties import Properties
from parlor.adapters.rabbitmq.streams import mark_of
from parlor.core.shared.bus import Delivery, is_producers
from parlor.core.shared.ids import uuid7

PREFIX = "x-parlor-"
REASON, DETAIL, LETTER = f"{PREFIX}reason", f"{PREFIX}detail", f"{PREFIX}letter"
DEATHS = "x-death"
LONGEST_DETAIL = 1_000
# What an earlier refusal, or the broker, has added is not the producer's.
NOT_ITS_OWN = (PREFIX.encode(), b"x-delivery-count", b"x-acquired-count")
# The broker would refuse a user other than ours, and throw the letter away at its expiration.
TAKEN_OUT = ("user_id", "expiration")
SPARE = 64


def refusal(delivery: Delivery, exchange: str, reason: str, detail: str) -> Outgoing:
    """Write the letter, with an id of its own: it may be delivered, or published, more than once."""
    mark = mark_of(delivery)
    taken_out = {name: _taken_out(mark.properties, name) for name in TAKEN_OUT}
    headers = {LETTER: str(uuid7()), REASON: reason, DETAIL: detail[:LONGEST_DETAIL]}
    headers |= {_header_of(name): text for name, text in taken_out.items() if text}
    return Outgoing(
        exchange=exchange,
        routing_key=mark.routing_key,
        message_id=delivery.message_id or "",
        properties=_stamped(mark.properties.without(*TAKEN_OUT), headers),
        body=delivery.body,
    )


def is_from_broker(delivery: Delivery) -> bool:
    """Tell what the broker moved by itself from what a worker refused."""
    properties = mark_of(delivery).properties
    return properties.header(REASON) is None and properties.header(DEATHS) is not None


def as_sent(delivery: Delivery) -> Properties:
    """Undo what a refusal, or the broker, has made of a producer's properties."""
    properties = mark_of(delivery).properties
    given_back = {name: _taken_out(properties, name) for name in TAKEN_OUT}
    given_back["expiration"] = given_back["expiration"] or _expiration_of_the_dead(delivery)
    texts = {name: text for name, text in given_back.items() if text}
    return properties.with_headers(is_producers).with_texts(texts)


def _expiration_of_the_dead(delivery: Delivery) -> str | None:
    """The broker, too, takes the expiration out of what it moves; its latest note says what it was."""
    match delivery.headers.get(DEATHS) if is_from_broker(delivery) else None:
        case [{"original-expiration": str() as expiration}, *_]:
            return expiration
        case _:
            return None


def _taken_out(properties: Properties, name: str) -> str | None:
    """Read it where it belongs, or where an earlier refusal has put it."""
    return properties.text(name) or properties.header_text(_header_of(name))


def _header_of(name: str) -> str:
    return PREFIX + name.replace("_", "-")


def _stamped(properties: Properties, headers: Mapping[str, str]) -> bytes:
    # A header has to fit into one frame: the detail goes first, then what made it too large; never the reason.
    stamped = properties.stamped(NOT_ITS_OWN, headers).marshal()
    if len(stamped) + OVERHEAD + SPARE > LARGEST_FRAME:
        stamped = properties.stamped(NOT_ITS_OWN, {**headers, DETAIL: ""}).marshal()
    if len(stamped) + OVERHEAD + SPARE > LARGEST_FRAME:
        stamped = properties.without("headers").stamped(NOT_ITS_OWN, headers).marshal()
    return stamped
