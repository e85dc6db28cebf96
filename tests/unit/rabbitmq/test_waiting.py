"""In which order deliveries are taken."""

from collections import Counter

from parlor.adapters.rabbitmq.waiting import Waiting
from parlor.core.shared.bus import Delivery


def a_line(**counts: int) -> Waiting:
    waiting = Waiting({"high": 64, "default": 32, "low": 8})
    for queue, count in counts.items():
        for number in range(count):
            waiting.put(Delivery(str(number), b"", queue))
    return waiting


def test_urgent_ones_go_first() -> None:
    assert [each.queue for each in a_line(low=1, default=1, high=1).take(3)] == ["high", "default", "low"]


def test_none_waits_for_ever() -> None:
    """A worker that takes one at a time gets to the least urgent one too, in its share of the turns."""
    waiting = a_line(high=60, default=60, low=60)
    taken = Counter(waiting.take(1)[0].queue for _ in range(39))
    assert taken == {"high": 24, "default": 12, "low": 3}


def test_a_queue_keeps_its_order() -> None:
    waiting = a_line(high=4)
    assert [each.message_id for each in waiting.take(2) + waiting.take(2)] == ["0", "1", "2", "3"]


def test_nothing_is_left_after_the_last() -> None:
    waiting = a_line(high=1, low=1)
    assert waiting
    assert len(waiting.take(5)) == 2
    assert not waiting
