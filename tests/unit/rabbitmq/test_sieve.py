"""Where frames end, and which of them the library gets to see."""

import pytest
from pamqp import frame
from pamqp.body import ContentBody
from pamqp.commands import Basic, Connection
from pamqp.header import ContentHeader
from pamqp.heartbeat import Heartbeat

from parlor.adapters.rabbitmq.sieve import SILENCE_S, Received, Sieve


def a_delivery(channel: int, tag: int, *parts: bytes) -> bytes:
    size = sum(map(len, parts))
    method = Basic.Deliver("consumer", tag, redelivered=True, exchange="exchange", routing_key="low")
    header = ContentHeader(body_size=size, properties=Basic.Properties(message_id="id"))
    bodies = [frame.marshal(ContentBody(part), channel) for part in parts]
    return b"".join([frame.marshal(method, channel), frame.marshal(header, channel), *bodies])


def a_sieve(channel: int = 1) -> tuple[Sieve, list[Received]]:
    sieve, received = Sieve(), list[Received]()
    sieve.receivers[channel] = received.append
    return sieve, received


def test_a_delivery_is_taken_out() -> None:
    """With everything that settlement and refusal need."""
    sieve, received = a_sieve()
    assert sieve.feed(a_delivery(1, 7, b"body")) == b""
    [message] = received
    assert (message.consumer, message.tag, message.routing_key, message.body) == (
        "consumer",
        7,
        "low",
        b"body",
    )
    assert message.properties == Basic.Properties(message_id="id").marshal()


@pytest.mark.parametrize("step", [1, 2, 7, 13, 1000])
def test_it_does_not_matter_how_the_bytes_are_cut(step: int) -> None:
    """Deliveries of two channels, bodies of no, one and more frames, others' frames between them."""
    sieve, received = a_sieve()
    other = list[Received]()
    sieve.receivers[2] = other.append
    ours = frame.marshal(Connection.Unblocked(), 0)
    woven = a_delivery(1, 1) + ours + a_delivery(2, 1, b"a", b"b") + ours + a_delivery(1, 2, b"c")
    passed = b"".join(sieve.feed(woven[at : at + step]) for at in range(0, len(woven), step))
    assert passed == ours + ours
    assert [each.body for each in received] == [b"", b"c"]
    assert [each.body for each in other] == [b"ab"]


def test_frames_of_two_channels_may_alternate() -> None:
    sieve, received = a_sieve()
    ours, theirs = a_delivery(1, 1, b"ours"), a_delivery(2, 1, b"theirs")
    cut = len(frame.marshal(Basic.Deliver("consumer", 1, exchange="exchange", routing_key="low"), 1))
    assert sieve.feed(ours[:cut] + theirs + ours[cut:]) == theirs
    assert [each.body for each in received] == [b"ours"]


def test_a_channel_without_a_receiver_is_the_librarys() -> None:
    sieve, _ = a_sieve()
    theirs = a_delivery(2, 1, b"theirs")
    assert sieve.feed(theirs) == theirs


def test_a_receiver_that_leaves_in_the_middle_gets_nothing_more() -> None:
    """And what is left of the message does not reach a library that has not seen its beginning."""
    sieve, received = a_sieve()
    ours = a_delivery(1, 1, b"ours")
    sieve.feed(ours[:-5])
    sieve.receivers.clear()
    assert sieve.feed(ours[-5:]) == b""
    assert received == []


def test_a_blocked_connection_is_noticed() -> None:
    sieve, _ = a_sieve()
    blocked, unblocked = (
        frame.marshal(each, 0) for each in (Connection.Blocked("low"), Connection.Unblocked())
    )
    assert sieve.feed(blocked) == blocked
    assert sieve.blocked
    assert sieve.feed(unblocked) == unblocked
    assert not sieve.blocked


def test_the_library_hears_of_a_broker_that_only_delivers() -> None:
    """It would take it for dead."""
    now = [0.0]
    sieve = Sieve(clock=lambda: now[0])
    sieve.receivers[1] = lambda _: None
    assert sieve.feed(a_delivery(1, 1)) == b""
    now[0] = SILENCE_S
    assert sieve.feed(a_delivery(1, 2)) == frame.marshal(Heartbeat(), 0)
    assert sieve.feed(a_delivery(1, 3)) == b""


def test_a_broker_of_another_protocol_is_the_librarys_to_complain_about() -> None:
    sieve, _ = a_sieve()
    assert sieve.feed(b"AMQP\x00\x01\x00\x00") == b"AMQP\x00\x01\x00\x00"


class Heard:
    """A publisher that remembers."""

    def __init__(self) -> None:
        self.said: list[object] = []

    def settled(self, tag: int, *, multiple: bool, good: bool) -> None:
        self.said.append((tag, multiple, good))

    def returned(self, properties: bytes) -> None:
        self.said.append(properties)


def test_a_publisher_hears_what_became_of_its_messages() -> None:
    sieve, heard = Sieve(), Heard()
    sieve.publishers[1] = heard
    properties = Basic.Properties(message_id="id")
    answers = [
        frame.marshal(Basic.Return(312, "NO_ROUTE", "exchange", "key"), 1),
        frame.marshal(ContentHeader(body_size=4, properties=properties), 1),
        frame.marshal(ContentBody(b"body"), 1),
        frame.marshal(Basic.Ack(7, multiple=True), 1),
        frame.marshal(Basic.Nack(8, multiple=False), 1),
    ]
    assert sieve.feed(b"".join(answers)) == b""
    assert heard.said == [properties.marshal(), (7, True, True), (8, False, False)]


def test_the_answers_of_other_channels_are_the_librarys() -> None:
    sieve = Sieve()
    sieve.publishers[1] = Heard()
    theirs = frame.marshal(Basic.Ack(7), 2) + frame.marshal(Basic.QosOk(), 1)
    assert sieve.feed(theirs) == theirs
