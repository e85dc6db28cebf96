"""What roles permit: read once a second, by everybody together, gone at a word."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from uuid import UUID

import pytest

from parlor.adapters.caching.principals import CachedPrincipals
from parlor.adapters.caching.role_book import CachedRoleBook
from parlor.adapters.caching.users import CachedUsers
from parlor.adapters.memory.cache import MemoryCache
from parlor.adapters.memory.feed import MemoryFeed
from parlor.core.identity.hints import CHANNEL, EVERYBODY, FeedUserHints
from parlor.core.identity.ports import Snapshot
from parlor.core.shared.ids import UserId, uuid7
from tests.unit.caching.directory import ADA, BOOK, Pages, Stopwatch, Table
from tests.waiting import eventually

MORE = {**BOOK, "user": frozenset({"tasks:create", "films:watch"})}
WATCHING = replace(ADA, permissions=ADA.permissions | {"films:watch"})


class SlowPages(Pages):
    """A book whose readers wait at a gate, with what they have read in their hands."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()

    async def read(self) -> Mapping[str, frozenset[str]]:
        read = await super().read()
        await self.gate.wait()
        return read


class Process:
    """One process's book, users and principals."""

    def __init__(self, pages: Pages, stopwatch: Stopwatch, feed: MemoryFeed) -> None:
        self.table = Table(ADA)
        self.book = CachedRoleBook(pages, monotonic=stopwatch)
        users = CachedUsers(self.table, MemoryCache(), self.book)
        self.principals = CachedPrincipals(users, feed, self.book, monotonic=stopwatch)

    async def ada(self) -> Snapshot | None:
        return await self.principals.find(ADA.id)


@pytest.fixture
def pages() -> Pages:
    return Pages()


@pytest.fixture
def stopwatch() -> Stopwatch:
    return Stopwatch()


@pytest.fixture
def feed() -> MemoryFeed:
    return MemoryFeed()


@pytest.fixture
def process(pages: Pages, stopwatch: Stopwatch, feed: MemoryFeed) -> Process:
    return Process(pages, stopwatch, feed)


async def test_the_book_is_a_second_old_at_most_and_the_same_while_it_says_the_same(
    pages: Pages, stopwatch: Stopwatch
) -> None:
    book = CachedRoleBook(pages, monotonic=stopwatch)
    assert book.present() is None
    first = await book.read()
    assert first == BOOK
    stopwatch.now = 0.49
    assert await book.read() is book.present() is first
    stopwatch.now = 1.0
    assert book.present() is None
    assert await book.read() is first
    assert pages.reads == 2


async def test_a_book_in_use_is_read_again_before_its_second_is_over_and_nobody_waits(
    stopwatch: Stopwatch,
) -> None:
    pages = SlowPages()
    pages.gate.set()
    book = CachedRoleBook(pages, monotonic=stopwatch)
    await book.read()
    pages.gate.clear()
    pages.book = MORE
    stopwatch.now = 0.5
    assert [book.present(), await book.read()] == [BOOK, BOOK]
    await eventually(lambda: pages.reads == 2)
    pages.gate.set()
    await eventually(lambda: book.present() == MORE)
    assert pages.reads == 2
    stopwatch.now = 1.49
    assert book.present() == MORE


async def test_a_renewal_that_fails_is_tried_again_and_disturbs_nobody(stopwatch: Stopwatch) -> None:
    class Away(Pages):
        async def read(self) -> Mapping[str, frozenset[str]]:
            read = await super().read()
            if self.reads == 2:
                raise ZeroDivisionError
            return read

    pages = Away()
    book = CachedRoleBook(pages, monotonic=stopwatch)
    await book.read()
    stopwatch.now = 0.5
    assert book.present() == BOOK
    await eventually(lambda: book._reading is None)
    assert (book.present(), pages.reads) == (BOOK, 2)
    await eventually(lambda: pages.reads == 3)
    stopwatch.now = 1.2
    assert book.present() == BOOK


async def test_the_second_of_the_book_begins_before_the_reading(stopwatch: Stopwatch) -> None:
    pages = SlowPages()
    book = CachedRoleBook(pages, monotonic=stopwatch)
    reading = asyncio.create_task(book.read())
    await eventually(lambda: pages.reads)
    stopwatch.now = 1.0
    pages.gate.set()
    assert await reading == BOOK
    assert book.present() is None


async def test_many_who_ask_for_the_book_at_once_are_one_reading_also_when_one_goes_away() -> None:
    pages = SlowPages()
    book = CachedRoleBook(pages)
    gone, *others = [asyncio.create_task(book.read()) for _ in range(20)]
    await eventually(lambda: pages.reads)
    gone.cancel()
    pages.gate.set()
    assert await asyncio.gather(*others) == [BOOK] * 19
    assert pages.reads == 1


async def test_a_reading_of_the_book_that_began_before_a_change_is_not_kept() -> None:
    pages = SlowPages()
    book = CachedRoleBook(pages)
    slow = asyncio.create_task(book.read())
    await eventually(lambda: pages.reads)
    pages.book = MORE
    book.forget()
    after = asyncio.create_task(book.read())
    pages.gate.set()
    assert [await slow, await after] == [BOOK, MORE]
    assert await book.read() == MORE
    assert pages.reads == 2


async def test_a_failed_reading_of_the_book_fails_those_who_wait_and_is_forgotten() -> None:
    class Broken(Pages):
        async def read(self) -> Mapping[str, frozenset[str]]:
            read = await super().read()
            if self.reads == 1:
                raise ZeroDivisionError
            return read

    book = CachedRoleBook(Broken())
    outcomes = await asyncio.gather(*(book.read() for _ in range(3)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ZeroDivisionError] * 3
    assert await book.read() == BOOK


async def test_who_acts_often_is_not_read_anew_because_the_book_is(
    process: Process, pages: Pages, stopwatch: Stopwatch
) -> None:
    """The book's second and the user's do not begin together."""
    await process.book.read()
    stopwatch.now = 0.4
    first = await process.ada()
    for stopwatch.now in (0.6, 1.2):
        assert await process.ada() is first
        await eventually(lambda: process.book._reading is None)
    assert (process.table.reads, pages.reads) == (1, 3)


async def test_what_a_role_permits_is_a_second_old_at_most_where_no_word_came(
    process: Process, pages: Pages, stopwatch: Stopwatch
) -> None:
    """Also for who was read when the book was old already."""
    await process.book.read()
    stopwatch.now = 0.49
    assert await process.ada() == ADA
    pages.book = MORE
    stopwatch.now = 1.0
    assert await process.ada() == WATCHING


async def test_a_changed_role_acts_at_once_here_and_elsewhere_after_the_word(
    pages: Pages, stopwatch: Stopwatch, feed: MemoryFeed
) -> None:
    here, there = Process(pages, stopwatch, feed), Process(pages, stopwatch, feed)
    assert [await here.ada(), await there.ada()] == [ADA, ADA]
    pages.book = MORE
    await here.principals.announce_roles()
    assert await here.ada() == WATCHING

    async def heard() -> bool:
        return await there.ada() == WATCHING

    await eventually(heard)


async def test_who_asks_after_a_role_changed_does_not_wait_for_the_reading_from_before(
    stopwatch: Stopwatch, feed: MemoryFeed
) -> None:
    pages = SlowPages()
    process = Process(pages, stopwatch, feed)
    before = asyncio.create_task(process.ada())
    await eventually(lambda: pages.reads == 1)
    pages.book = MORE
    await process.principals.announce_roles()
    after = asyncio.create_task(process.ada())
    await eventually(lambda: pages.reads == 2)
    pages.gate.set()
    await before
    assert await after == WATCHING


async def test_a_changed_role_wakes_everybody_who_expects_a_hint() -> None:
    feed = MemoryFeed()
    hints = FeedUserHints(feed)
    with hints.expect(ADA.id) as ada, hints.expect(UserId(uuid7())) as bob:
        await feed.publish(CHANNEL, str(UUID(int=1)).encode())
        await feed.publish(CHANNEL, EVERYBODY)
        await eventually(lambda: ada.is_set() and bob.is_set())
