"""What waits for one reader: how much of it, and what becomes of the rest."""

import asyncio
import json

import pytest

from parlor.core.chats.frames import Frame, Reason, unsubscribed
from parlor.core.shared.ids import ChatId, uuid7
from parlor.entrypoints.http import mailbox
from parlor.entrypoints.http.mailbox import MOST_BYTES, MOST_FRAMES, Mailbox

CHAT, OTHER = ChatId(uuid7()), ChatId(uuid7())


def change(rev: int, chat: ChatId = CHAT, size: int = 0) -> Frame:
    return Frame(json.dumps({"rev": rev, "x": "x" * size}).encode(), chat, rev, rev)


SIGNAL = Frame(b'{"type":"typing"}', CHAT, passes=True)


async def emptied(box: Mailbox) -> list[dict[str, object]]:
    frames: list[dict[str, object]] = []
    while box._queue:
        frames.append(json.loads(await box.next()))
    return frames


def gap(first: int, last: int, chat: ChatId = CHAT) -> dict[str, object]:
    return {"type": "gap", "chat_id": str(chat), "from_rev": first, "to_rev": last}


async def test_what_is_put_in_comes_out_in_order() -> None:
    box = Mailbox()
    for rev in (1, 2, 3):
        box.put(change(rev))
    assert [frame["rev"] for frame in await emptied(box)] == [1, 2, 3]


async def test_what_is_written_at_once_waits_for_nobody() -> None:
    taken: list[bytes] = []
    open_line = [True]

    def written(json: bytes) -> bool:
        if open_line[0]:
            taken.append(json)
        return open_line[0]

    box = Mailbox(written)
    box.put(change(1))
    open_line[0] = False
    box.put(change(2))
    open_line[0] = True
    box.put(change(3))
    assert taken == [change(1).json]
    assert [frame["rev"] for frame in await emptied(box)] == [2, 3]


async def test_nothing_overtakes_what_its_reader_has_in_hand() -> None:
    """The last one is on its way until the next one is asked for."""
    taken: list[bytes] = []

    def written(json: bytes) -> bool:
        taken.append(json)
        return len(taken) > 1

    box = Mailbox(written)
    box.put(change(1))
    assert json.loads(await box.next())["rev"] == 1
    box.put(change(2))
    assert taken == [change(1).json]
    assert json.loads(await box.next())["rev"] == 2
    asking = asyncio.create_task(box.next())
    await asyncio.sleep(0)
    box.put(change(3))
    assert taken[1:] == [change(3).json]
    asking.cancel()


async def test_too_many_become_one_gap_a_chat_that_grows_until_it_is_read() -> None:
    box = Mailbox()
    for rev in range(1, MOST_FRAMES):
        box.put(change(rev))
    box.put(change(7, OTHER))
    box.put(change(MOST_FRAMES))
    box.put(change(MOST_FRAMES + 1))
    assert await emptied(box) == [gap(1, MOST_FRAMES + 1), gap(7, 7, OTHER)]
    box.put(change(MOST_FRAMES + 2))
    assert [frame["rev"] for frame in await emptied(box)] == [MOST_FRAMES + 2]


async def test_too_large_ones_become_a_gap_too() -> None:
    box = Mailbox()
    for rev in range(1, 5):
        box.put(change(rev, size=MOST_BYTES // 3))
    assert await emptied(box) == [gap(1, 4)]


async def test_answers_are_kept_and_signals_are_dropped() -> None:
    box = Mailbox()
    box.put(change(1))
    box.put(unsubscribed(OTHER, Reason.REMOVED))
    for _ in range(MOST_FRAMES - 2):
        box.put(SIGNAL)
    box.put(change(2))
    frames = await emptied(box)
    assert [frame["type"] for frame in frames] == ["gap", "unsubscribed"]
    assert frames[0] == gap(1, 2)


async def test_a_gap_that_is_put_in_counts_with_its_whole_range() -> None:
    box = Mailbox()
    box.put(Frame(b"{}", CHAT, 3, 9))
    for rev in range(10, 10 + MOST_FRAMES):
        box.put(change(rev))
    assert await emptied(box) == [gap(3, 9 + MOST_FRAMES)]


async def test_an_answer_waits_until_half_is_taken() -> None:
    box = Mailbox()
    for rev in range(MOST_FRAMES // 2):
        box.put(change(rev + 1))
    waiting = asyncio.create_task(box.ready())
    await asyncio.sleep(0)
    assert not waiting.done()
    await box.next()
    await waiting


async def test_answers_that_wait_come_one_by_one() -> None:
    box = Mailbox()
    box.put(change(1, size=MOST_BYTES))

    async def answer() -> None:
        await box.ready()
        box.put(Frame(b"x" * MOST_BYTES))

    answering = [asyncio.create_task(answer()) for _ in range(5)]
    await asyncio.sleep(0)
    await box.next()
    for _ in range(5):
        await asyncio.sleep(0)
    assert sum(task.done() for task in answering) == 1
    for task in answering:
        task.cancel()


async def test_who_does_not_catch_up_is_stuck_and_told_of_everything_that_was_not_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mailbox, "STUCK_S", 0.01)
    box = Mailbox()
    box.put(change(1))
    await box.next()  # in hand, and never written
    for rev in range(2, MOST_FRAMES + 9):
        box.put(change(rev))
    box.put(change(1, OTHER))
    await box.stuck()
    assert [json.loads(frame) for frame in box.gaps()] == [gap(1, MOST_FRAMES + 8), gap(1, 1, OTHER)]


async def test_who_catches_up_is_not_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailbox, "STUCK_S", 0.01)
    box = Mailbox()
    stuck = asyncio.create_task(box.stuck())
    for rev in range(1, MOST_FRAMES + 2):
        box.put(change(rev))
    await emptied(box)
    reading = asyncio.create_task(box.next())
    done, _ = await asyncio.wait({stuck}, timeout=0.05)
    assert not done
    for task in (stuck, reading):
        task.cancel()
