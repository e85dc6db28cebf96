"""The bus inside one process: a replay is safe only once it is settled."""

from dataclasses import dataclass, field

import pytest

from parlor.adapters.memory.bus import MemoryBus
from parlor.core.shared.bus import Receipt, Replay
from parlor.core.shared.errors import DatabaseAway
from parlor.core.shared.ids import DeadLetterId, uuid7
from parlor.core.tasks.model import DeadLetter


@dataclass(slots=True)
class Shelf:
    """Keeps the letters, after as many failures as it is told to have."""

    failures: int = 0
    kept: list[DeadLetter] = field(default_factory=list)

    async def __call__(self, letter: DeadLetter) -> None:
        if self.failures:
            self.failures -= 1
            raise DatabaseAway
        self.kept.append(letter)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def bus(shelf: Shelf) -> MemoryBus:
    return MemoryBus({"high": 64, "default": 32, "low": 8}, keep=shelf)


REPLAY = Replay(DeadLetterId(uuid7()), "high", "order-7", {"a": 1}, b"body", "text/plain", b"\x00\x00")


async def test_a_replay_waits_until_it_is_settled(bus: MemoryBus) -> None:
    """Asked about again and again, it is delivered once."""
    for _ in range(3):
        assert await bus.send_replays([REPLAY]) == [Receipt.WAITS]
    deliveries = await bus.take(10)
    assert len(deliveries) == 1
    assert await bus.send_replays([REPLAY]) == [Receipt.WAITS]
    await bus.acknowledge(deliveries)
    assert await bus.send_replays([REPLAY]) == [Receipt.TAKEN]
    assert await bus.idle_queues() == {"high", "default", "low"}


async def test_a_refused_replay_is_a_new_dead_letter(bus: MemoryBus, shelf: Shelf) -> None:
    await bus.send_replays([REPLAY])
    [delivery] = await bus.take(10)
    await bus.refuse(delivery, "not_json", "line 1")
    [letter] = shelf.kept
    assert letter == DeadLetter(
        reason="not_json",
        detail="line 1",
        message_id="order-7",
        routing_key="high",
        headers={"a": 1},
        body=b"body",
        content_type="text/plain",
        properties=b"\x00\x00",
        id=letter.id,
    )
    assert letter.id != REPLAY.letter_id
    assert await bus.send_replays([REPLAY]) == [Receipt.TAKEN]


async def test_what_could_not_be_kept_is_delivered_again(bus: MemoryBus, shelf: Shelf) -> None:
    shelf.failures = 1
    await bus.send_replays([REPLAY])
    [delivery] = await bus.take(10)
    await bus.refuse(delivery, "not_json", "")
    assert await bus.send_replays([REPLAY]) == [Receipt.WAITS]
    [again] = await bus.take(10)
    await bus.refuse(again, "not_json", "")
    assert len(shelf.kept) == 1
    assert await bus.send_replays([REPLAY]) == [Receipt.TAKEN]
