"""Cached principals: a second old at most, gone at a word, read once by many."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from parlor.adapters.caching.principals import CachedPrincipals
from parlor.adapters.caching.role_book import CachedRoleBook
from parlor.adapters.memory.feed import MemoryFeed
from parlor.core.identity.hints import CHANNEL
from parlor.core.identity.ports import Snapshot
from parlor.core.shared.caching import Looks
from parlor.core.shared.ids import UserId, uuid7
from tests.unit.caching.directory import ADA, Pages, Stopwatch, Table
from tests.waiting import eventually

CHANGED = replace(ADA, display_name="Countess")


class SlowTable(Table):
    """A directory whose readers wait at a gate, with what they have read in their hands."""

    def __init__(self, *users: Snapshot) -> None:
        super().__init__(*users)
        self.gate = asyncio.Event()

    async def by_id(self, user_id: UserId) -> Snapshot | None:
        read = await super().by_id(user_id)
        await self.gate.wait()
        return read


class Feed(MemoryFeed):
    """A feed that can be cut."""

    def __init__(self) -> None:
        super().__init__()
        self.cut = False
        self.published: list[tuple[str, bytes]] = []

    def live(self, channel: str) -> bool:
        assert channel == CHANNEL
        return not self.cut

    async def publish(self, channel: str, message: bytes, *, repeatable: bool = False) -> None:
        self.published.append((channel, message))
        if not self.cut:
            await super().publish(channel, message, repeatable=repeatable)


@pytest.fixture
def feed() -> Feed:
    return Feed()


@pytest.fixture
def stopwatch() -> Stopwatch:
    return Stopwatch()


Maker = Callable[..., CachedPrincipals]


@pytest.fixture
def over(feed: Feed, stopwatch: Stopwatch) -> Maker:
    """Make principals over a table."""

    def make(table: Table, capacity: int = 10_000) -> CachedPrincipals:
        book = CachedRoleBook(Pages(), monotonic=stopwatch)
        return CachedPrincipals(table, feed, book, capacity=capacity, monotonic=stopwatch)

    return make


async def test_a_principal_is_read_once_a_second(over: Maker, stopwatch: Stopwatch) -> None:
    table = Table(ADA)
    principals = over(table)
    for stopwatch.now in (0.0, 0.5, 0.99):
        assert await principals.find(ADA.id) == ADA
    assert table.reads == 1
    stopwatch.now = 1.0
    assert await principals.find(ADA.id) == ADA
    assert table.reads == 2
    assert principals.looks == Looks(hit=2, missed=2)


async def test_the_second_begins_before_the_reading(over: Maker, stopwatch: Stopwatch) -> None:
    """What was slow to come is old already."""
    table = SlowTable(ADA)
    principals = over(table)
    finding = asyncio.create_task(principals.find(ADA.id))
    await eventually(lambda: table.reads)
    stopwatch.now = 0.9
    table.gate.set()
    await finding
    stopwatch.now = 1.1
    await principals.find(ADA.id)
    assert table.reads == 2


async def test_an_absent_one_is_not_kept(over: Maker) -> None:
    table = Table()
    principals = over(table)
    assert await principals.find(ADA.id) is None
    table.put(ADA)
    assert await principals.find(ADA.id) == ADA


async def test_a_word_on_the_feed_drops_the_copy(over: Maker, feed: Feed) -> None:
    table = Table(ADA)
    principals = over(table)
    await principals.find(ADA.id)
    table.put(CHANGED)
    await feed.publish(CHANNEL, f"{uuid7()},{ADA.id}".encode())

    async def changed() -> bool:
        return await principals.find(ADA.id) == CHANGED

    await eventually(changed)


async def test_a_word_about_others_drops_nothing(over: Maker) -> None:
    table = Table(ADA)
    principals = over(table)
    await principals.find(ADA.id)
    principals._heard(str(uuid7()).encode())
    await principals.find(ADA.id)
    assert table.reads == 1


@pytest.mark.parametrize("message", [b"", b"nonsense", b"\xff", b"1,2", b"\x00" * 16])
async def test_a_word_that_is_not_understood_drops_everything(over: Maker, message: bytes) -> None:
    table = Table(ADA)
    principals = over(table)
    await principals.find(ADA.id)
    principals._heard(message)
    await principals.find(ADA.id)
    assert table.reads == 2


async def test_what_one_announces_one_forgets_at_once_and_the_others_hear(over: Maker, feed: Feed) -> None:
    here, there = Table(ADA), Table(ADA)
    ours, theirs = over(here), over(there)
    await ours.find(ADA.id)
    await theirs.find(ADA.id)
    for table in (here, there):
        table.put(CHANGED)
    await ours.announce([ADA.id])
    assert await ours.find(ADA.id) == CHANGED

    async def changed() -> bool:
        return await theirs.find(ADA.id) == CHANGED

    await eventually(changed)
    assert feed.published == [(CHANNEL, str(ADA.id).encode())]


async def test_a_reading_that_began_before_the_change_is_not_kept(over: Maker) -> None:
    table = SlowTable(ADA)
    principals = over(table)
    slow = asyncio.create_task(principals.find(ADA.id))
    await eventually(lambda: table.reads)
    table.put(CHANGED)
    principals.forget([ADA.id])
    table.gate.set()
    assert await slow == ADA  # it was asked before the change
    assert await principals.find(ADA.id) == CHANGED


async def test_who_asks_after_the_change_does_not_wait_for_the_reading_from_before(over: Maker) -> None:
    table = SlowTable(ADA)
    principals = over(table)
    before = asyncio.create_task(principals.find(ADA.id))
    await eventually(lambda: table.reads == 1)
    table.put(CHANGED)
    principals.forget([ADA.id])
    after = asyncio.create_task(principals.find(ADA.id))
    await eventually(lambda: table.reads == 2)
    table.gate.set()
    assert [await before, await after] == [ADA, CHANGED]
    assert await principals.find(ADA.id) == CHANGED
    assert table.reads == 2


async def test_many_who_ask_at_once_are_one_reading(over: Maker) -> None:
    table = SlowTable(ADA)
    principals = over(table)
    asking = [asyncio.create_task(principals.find(ADA.id)) for _ in range(50)]
    await eventually(lambda: table.reads)
    table.gate.set()
    assert await asyncio.gather(*asking) == [ADA] * 50
    assert table.reads == 1
    assert not principals._loading


async def test_who_goes_away_does_not_end_the_reading_for_others(over: Maker) -> None:
    table = SlowTable(ADA)
    principals = over(table)
    first = asyncio.create_task(principals.find(ADA.id))
    second = asyncio.create_task(principals.find(ADA.id))
    await eventually(lambda: table.reads)
    first.cancel()
    table.gate.set()
    assert await second == ADA
    assert table.reads == 1


async def test_a_failed_reading_fails_those_who_wait_and_is_forgotten(over: Maker) -> None:
    class Broken(SlowTable):
        async def by_id(self, user_id: UserId) -> Snapshot | None:
            read = await super().by_id(user_id)
            if self.reads == 1:
                raise ZeroDivisionError
            return read

    table = Broken(ADA)
    principals = over(table)
    asking = [asyncio.create_task(principals.find(ADA.id)) for _ in range(3)]
    await eventually(lambda: table.reads)
    table.gate.set()
    outcomes = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ZeroDivisionError] * 3
    assert await principals.find(ADA.id) == ADA


async def test_without_the_feed_nothing_is_kept(over: Maker, feed: Feed) -> None:
    feed.cut = True
    table = Table(ADA)
    principals = over(table)
    await principals.find(ADA.id)
    table.put(CHANGED)
    assert await principals.find(ADA.id) == CHANGED
    assert not principals._kept


async def test_what_was_kept_before_the_feed_was_lost_is_not_trusted_after_it_came_back(
    over: Maker, feed: Feed
) -> None:
    table = Table(ADA)
    principals = over(table)
    await principals.find(ADA.id)
    feed.cut = True
    table.put(CHANGED)
    assert await principals.find(ADA.id) == CHANGED
    feed.cut = False
    assert await principals.find(ADA.id) == CHANGED


async def test_what_was_being_read_while_the_feed_was_lost_is_not_kept(over: Maker, feed: Feed) -> None:
    table = SlowTable(ADA)
    principals = over(table)
    slow = asyncio.create_task(principals.find(ADA.id))
    await eventually(lambda: table.reads == 1)
    feed.cut = True
    table.put(CHANGED)
    table.gate.set()
    await principals.find(ADA.id)
    await slow
    feed.cut = False
    assert await principals.find(ADA.id) == CHANGED


async def test_no_more_are_kept_than_there_is_room_for(over: Maker) -> None:
    users = [replace(ADA, id=UserId(uuid7())) for _ in range(10)]
    principals = over(Table(*users), capacity=3)
    for user in users:
        await principals.find(user.id)
        assert len(principals._kept) <= 3
    assert list(principals._kept) == [user.id for user in users[-3:]]
