"""Which letters are the same one."""

from unittest.mock import Mock

import pytest

from parlor.adapters.rabbitmq.frames import short_text
from parlor.adapters.rabbitmq.letters import id_of
from parlor.adapters.rabbitmq.properties import Properties, entry, table
from parlor.adapters.rabbitmq.sieve import Received
from parlor.adapters.rabbitmq.streams import Stream, delivery_of
from parlor.core.shared.bus import Delivery

DEATHS = entry("x-death", b"A\0\0\0\5" + b"I\0\0\0\1")
RETURNS = entry("x-delivery-count", b"I\0\0\0\7")


def a_dead_one(body: bytes = b"{", more: bytes = b"", **texts: str) -> Delivery:
    """Make one that the broker has moved."""
    values = {name: short_text(text) for name, text in texts.items()}
    properties = Properties({**values, "headers": table({}, DEATHS, more)}).marshal()
    received = Received("", 1, "default", properties, body)
    return delivery_of(received, Stream(Mock()), "default")


def test_what_comes_again_is_the_same_letter_however_often_it_came_back() -> None:
    assert id_of(a_dead_one(app_id="a")) == id_of(a_dead_one(app_id="a", more=RETURNS))


@pytest.mark.parametrize(
    "other", [a_dead_one(app_id="b"), a_dead_one(), a_dead_one(b"[", app_id="a")], ids=["app", "none", "body"]
)
def test_what_differs_in_anything_that_its_producer_said_is_another_letter(other: Delivery) -> None:
    """They died in the same second, for the same reason, in the same queue."""
    assert id_of(a_dead_one(app_id="a")) != id_of(other)
