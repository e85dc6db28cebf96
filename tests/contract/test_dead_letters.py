"""Port DeadLetters: one test body over memory and PostgreSQL."""

import asyncio
from dataclasses import fields

import pytest

from parlor.core.shared.bus import Replay
from parlor.core.shared.errors import NotFound
from parlor.core.shared.ids import DeadLetterId, TaskId, uuid7
from parlor.core.tasks.letters import DiscardDeadLetter, KeepDeadLetter, ReplayDeadLetter
from parlor.core.tasks.model import AlreadyReplayed, DeadLetter
from tests.builders import a_letter, a_task, an_actor
from tests.contract.backends import Backend
from tests.fakes.clock import NOON

MANAGER = an_actor("tasks:manage")


async def kept(backend: Backend, letter: DeadLetter) -> DeadLetter:
    await KeepDeadLetter(backend.work)(letter)
    return letter


async def found(backend: Backend, letter_id: DeadLetterId) -> DeadLetter:
    async with backend.work() as work:
        return await work.letters.get(letter_id)


def replay(backend: Backend) -> ReplayDeadLetter:
    return ReplayDeadLetter(backend.work, clock=lambda: NOON)


async def test_every_field_of_a_letter_comes_back(backend: Backend) -> None:
    letter = await kept(
        backend,
        a_letter(
            headers={"shop": "north", "deep": {"list": [1, None]}},
            body=b"\x00\xff no text",
            content_type="text/plain",
            properties=b"\x80\x00\x0atext/plain",
        ),
    )
    stored = await found(backend, letter.id)
    assert stored.dead_at is not None
    for each in fields(DeadLetter):
        if each.name != "dead_at":
            assert getattr(stored, each.name) == getattr(letter, each.name), each.name


async def test_a_letter_that_comes_again_is_stored_once(backend: Backend) -> None:
    """Its acknowledgement was lost, so it has the same id."""
    letter = await kept(backend, a_letter(detail="first"))
    await kept(backend, a_letter(id=letter.id, detail="second"))
    assert (await found(backend, letter.id)).detail == "first"


async def test_a_replay_has_all_of_the_message(backend: Backend) -> None:
    letter = await kept(
        backend,
        a_letter(headers={"a": 1}, body=b"\xff", content_type="text/plain", properties=b"\x00\x00"),
    )
    await replay(backend)(MANAGER, letter.id)
    assert (await found(backend, letter.id)).replayed_at == NOON
    assert await backend.replays() == [
        Replay(letter.id, "high", "order-7", {"a": 1}, b"\xff", "text/plain", b"\x00\x00")
    ]


@pytest.mark.parametrize("routing_key", [None, "", "urgent"])
async def test_what_came_by_no_queue_of_ours_goes_to_the_default_one(
    backend: Backend, routing_key: str | None
) -> None:
    letter = await kept(backend, a_letter(routing_key=routing_key))
    await replay(backend)(MANAGER, letter.id)
    assert [each.queue for each in await backend.replays()] == ["default"]


async def test_a_letter_is_replayed_once(backend: Backend) -> None:
    """However many ask at the same time."""
    letter = await kept(backend, a_letter())
    answers = await asyncio.gather(
        *(replay(backend)(MANAGER, letter.id) for _ in range(5)), return_exceptions=True
    )
    assert sorted(map(type, answers), key=str) == sorted([type(None), *[AlreadyReplayed] * 4], key=str)
    assert len(await backend.replays()) == 1


async def test_a_discarded_letter_is_gone(backend: Backend) -> None:
    letter = await kept(backend, a_letter())
    await DiscardDeadLetter(backend.work)(MANAGER, letter.id)
    with pytest.raises(NotFound):
        await found(backend, letter.id)
    assert await backend.replays() == []


async def test_what_was_replayed_is_sent_although_it_is_discarded(backend: Backend) -> None:
    letter = await kept(backend, a_letter(body=b"the message"))
    await replay(backend)(MANAGER, letter.id)
    await DiscardDeadLetter(backend.work)(MANAGER, letter.id)
    assert [each.body for each in await backend.replays()] == [b"the message"]


async def test_an_unknown_letter_is_not_found(backend: Backend) -> None:
    for act in (replay(backend), DiscardDeadLetter(backend.work)):
        with pytest.raises(NotFound):
            await act(MANAGER, DeadLetterId(uuid7()))


async def test_a_row_is_known_whatever_its_state(backend: Backend) -> None:
    task = a_task()
    async with backend.work() as work:
        await work.tasks.add(task)
    await backend.end_task(task.id)
    async with backend.work() as work:
        assert await work.letters.has_row(task.id)
        assert not await work.letters.has_row(TaskId(uuid7()))
