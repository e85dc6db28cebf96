"""Whose turn it is: nobody's backlog starves another's tasks, no queue starves another, and no queue overflows."""

from collections.abc import Sequence
from typing import Any

import pika

from parlor.core.tasks.model import Priority
from tests.faults.services import cards, pile_up
from tests.fleet import Fleet
from tests.waiting import eventually

# What the relay keeps in a queue, unclaimed, and how much it sends at once.
ROOM, BATCH = 2_000, 500
# What a worker has at hand beside: its prefetch, high, default and low.
AT_HAND = 64 + 32 + 8
ALL_ENDED = "select not exists (select from tasks where finished_at is null)"
IN_ORDER = "select id from tasks order by finished_at, id"


async def test_one_persons_backlog_does_not_starve_anothers_tasks(fleet: Fleet) -> None:
    """The relay takes both in turn: the few end among the first, whatever was ordered before them."""
    await pile_up(fleet, cards(5_000))
    few = await pile_up(fleet, cards(10))
    await fleet.worker()
    order = await ends(fleet)
    assert max(order.index(one) for one in few) < 2 * len(few) + BATCH


async def test_who_comes_late_waits_for_one_full_queue_at_most(fleet: Fleet) -> None:
    """What is in the broker's queue already goes first; all that still waits in the outbox does not."""
    await pile_up(fleet, cards(5_000))
    await fleet.relay()
    await eventually(lambda: ready(fleet, "default") >= ROOM)
    few = await pile_up(fleet, cards(10))
    await fleet.worker("--no-relay")
    order = await ends(fleet)
    assert max(order.index(one) for one in few) < ROOM + BATCH + AT_HAND + BATCH


async def test_a_flood_of_low_tasks_does_not_starve_high_ones(fleet: Fleet) -> None:
    """While both wait, low tasks get 8 of each 72 places."""
    low = await pile_up(fleet, cards(1_500, priority=Priority.LOW))
    high = await pile_up(fleet, cards(200, priority=Priority.HIGH))
    await fleet.relay()
    await eventually(lambda: (ready(fleet, "low"), ready(fleet, "high")) == (len(low), len(high)))
    await fleet.worker("--no-relay")
    order = await ends(fleet)
    last = max(order.index(one) for one in high)
    assert len(set(order[:last]) & set(low)) < len(high) * 8 / 64 + AT_HAND


async def test_the_broker_holds_a_bounded_part_of_a_long_backlog(fleet: Fleet) -> None:
    """Two relays at once keep 2,000 messages there, and at most a batch each above; the outbox has the rest."""
    await pile_up(fleet, cards(10_000))
    for _ in range(2):
        await fleet.relay()
    await eventually(lambda: ready(fleet, "default") >= ROOM)
    urgent = await pile_up(fleet, cards(1, priority=Priority.HIGH))
    # The relays go round their queues: when this one has been sent, they have looked at the full one again.
    await eventually(lambda: ready(fleet, "high") == len(urgent))
    assert ready(fleet, "default") <= ROOM + 2 * BATCH
    async with fleet.database() as database:
        assert await database.fetchval("select count(*) from task_outbox") >= 10_000 - ROOM - 2 * BATCH


async def ends(fleet: Fleet) -> Sequence[str]:
    """Answer the tasks in the order of their ends, when all have ended."""
    async with fleet.database() as database:
        await eventually(lambda: database.fetchval(ALL_ENDED), within=90)
        return [str(row["id"]) for row in await database.fetch(IN_ORDER)]


def ready(fleet: Fleet, priority: str) -> int:
    """Count the messages that nobody has taken."""
    with pika.BlockingConnection(pika.URLParameters(fleet.rabbitmq_url)) as connection:
        queue: Any = connection.channel().queue_declare(f"{fleet.namespace}.tasks.{priority}", passive=True)
        return int(queue.method.message_count)
