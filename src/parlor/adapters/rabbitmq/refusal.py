"""A message on its way to the dead letters: as it came, with the reason."""

from collections.abc import Mapping

from parlor.adapters.rabbitmq.frames import OVERHEAD
from parlor.adapters.rabbitmq.outlet import LARGEST_FRAME, Outgoing
from parlor.adapters.rabbitmq.properties import Properties
from parlor.adapters.rabbitmq.streams import mark_of
from parlor.core.shared.bus import Delivery

PREFIX = "x-parlor-"
REASON, DETAIL = f"{PREFIX}reason", f"{PREFIX}detail"
LONGEST_DETAIL = 1_000
# What an earlier refusal, or the broker, has added is not the producer's.
NOT_ITS_OWN = (PREFIX.encode(), b"x-delivery-count", b"x-acquired-count")
# The broker would refuse a user other than ours, and throw the letter away at its expiration.
TAKEN_OUT = ("user_id", "expiration")
SPARE = 64


def refusal(delivery: Delivery, exchange: str, reason: str, detail: str) -> Outgoing:
    """Write the letter."""
    mark = mark_of(delivery)
    taken_out = {name: mark.properties.text(name) for name in TAKEN_OUT}
    headers = {REASON: reason, DETAIL: detail[:LONGEST_DETAIL]}
    headers |= {f"{PREFIX}{name.replace('_', '-')}": text for name, text in taken_out.items() if text}
    return Outgoing(
        exchange=exchange,
        routing_key=mark.routing_key,
        message_id=delivery.message_id or "",
        properties=_stamped(mark.properties.without(*TAKEN_OUT), headers),
        body=delivery.body,
    )


def _stamped(properties: Properties, headers: Mapping[str, str]) -> bytes:
    # A header has to fit into one frame: the reason is worth more than what would make it too large.
    stamped = properties.stamped(NOT_ITS_OWN, headers).marshal()
    if len(stamped) + OVERHEAD + SPARE <= LARGEST_FRAME:
        return stamped
    return properties.without("headers").stamped(NOT_ITS_OWN, headers).marshal()
