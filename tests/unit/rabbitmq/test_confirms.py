"""What the broker answers, and which message it means."""

from dataclasses import dataclass

import pytest
from pamqp.commands import Basic

from parlor.adapters.rabbitmq.confirms import Batch, Confirms


@dataclass(frozen=True, slots=True)
class Message:
    message_id: str
    mandatory: bool = False


def returned(message_id: str) -> bytes:
    return Basic.Properties(message_id=message_id).marshal()


def sent(confirms: Confirms, *messages: Message) -> Batch:
    batch = Batch(len(messages))
    confirms.expect(batch, messages)
    return batch


@pytest.fixture
async def confirms() -> Confirms:
    return Confirms()


async def test_each_message_has_its_own_answer(confirms: Confirms) -> None:
    batch = sent(confirms, Message("a"), Message("b"))
    confirms.settled(2, multiple=False, good=False)
    assert (batch.outcomes, batch.done.done()) == ([None, False], False)
    confirms.settled(1, multiple=False, good=True)
    assert (batch.outcomes, batch.done.done()) == ([True, False], True)


async def test_one_answer_may_stand_for_all_up_to_it(confirms: Confirms) -> None:
    first, second = sent(confirms, Message("a"), Message("b")), sent(confirms, Message("c"), Message("d"))
    confirms.settled(3, multiple=True, good=True)
    assert (first.outcomes, second.outcomes) == ([True, True], [True, None])


async def test_what_no_queue_takes_was_not_published_although_it_is_confirmed(confirms: Confirms) -> None:
    batch = sent(confirms, Message("a", mandatory=True), Message("b", mandatory=True))
    confirms.returned(returned("b"))
    confirms.settled(2, multiple=True, good=True)
    assert batch.outcomes == [True, False]


async def test_an_id_that_is_sent_again_is_known_by_its_last_message(confirms: Confirms) -> None:
    first, second = sent(confirms, Message("a", mandatory=True)), sent(confirms, Message("a", mandatory=True))
    confirms.settled(1, multiple=False, good=True)
    confirms.returned(returned("a"))
    confirms.settled(2, multiple=False, good=True)
    assert (first.outcomes, second.outcomes) == ([True], [False])


async def test_an_answer_that_means_nobody_is_ignored(confirms: Confirms) -> None:
    batch = sent(confirms, Message("a"))
    confirms.settled(7, multiple=False, good=True)
    confirms.returned(returned("nobody"))
    confirms.returned(Basic.Properties().marshal())
    assert batch.outcomes == [None]


async def test_what_is_open_when_the_channel_goes_was_not_published(confirms: Confirms) -> None:
    batch = sent(confirms, Message("a"), Message("b"))
    confirms.settled(1, multiple=False, good=True)
    confirms.give_up()
    assert (batch.outcomes, batch.done.done()) == ([True, False], True)
    confirms.settled(2, multiple=False, good=True)
    assert batch.outcomes == [True, False]
