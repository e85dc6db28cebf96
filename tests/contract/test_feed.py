"""Port Feed: one test body over the memory's and Redis's."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from parlor.adapters.memory.feed import MemoryFeed
from parlor.adapters.redis.client import RedisLink
from parlor.adapters.redis.feed import RedisFeed
from parlor.core.shared.feed import Feed
from tests.waiting import PATIENCE_S, eventually

CHANNEL = "chat:1"


class Heard(list[bytes]):
    """A listener that remembers."""

    def __call__(self, message: bytes) -> None:
        self.append(message)


@asynccontextmanager
async def redis_feed(url: str, namespace: str) -> AsyncIterator[RedisFeed]:
    link = RedisLink(url, timeout_s=PATIENCE_S)  # a busy machine is no reason to lose a hint
    feed = RedisFeed(link, namespace=namespace)
    await feed.start()
    try:
        yield feed
    finally:
        await feed.close()
        await link.close()


@pytest.fixture(params=["memory", "redis"])
async def feed(request: pytest.FixtureRequest) -> AsyncIterator[Feed]:
    if request.param == "memory":
        yield MemoryFeed()
        return
    async with redis_feed(request.getfixturevalue("redis_url"), f"test-{uuid.uuid4().hex}") as feed:
        yield feed


async def listening(feed: Feed, channel: str = CHANNEL) -> Heard:
    """Listen, and wait until the channel is live."""
    heard = Heard()
    feed.listen(channel, heard)
    await eventually(lambda: feed.live(channel))
    return heard


async def test_what_is_published_is_heard(feed: Feed) -> None:
    heard = await listening(feed)
    await feed.publish(CHANNEL, b"\x00\xff hint")
    await eventually(lambda: heard == [b"\x00\xff hint"])


async def test_every_listener_hears_in_order(feed: Feed) -> None:
    first, second = await listening(feed), await listening(feed)
    for number in range(100):
        await feed.publish(CHANNEL, b"%d" % number)
    expected = [b"%d" % number for number in range(100)]
    await eventually(lambda: first == expected == second)


async def test_hints_that_are_on_their_way_together_keep_their_order(feed: Feed) -> None:
    heard = await listening(feed)
    expected = [b"%d" % number for number in range(100)]
    await asyncio.gather(*(feed.publish(CHANNEL, hint) for hint in expected))
    await eventually(lambda: heard == expected)


async def test_a_publisher_that_gives_up_takes_nothing_from_the_others(feed: Feed) -> None:
    heard = await listening(feed)
    impatient = asyncio.create_task(feed.publish(CHANNEL, b"given up"))
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.gather(impatient, return_exceptions=True)
    await feed.publish(CHANNEL, b"later")
    await eventually(lambda: b"later" in heard)


async def test_channels_do_not_meet(feed: Feed) -> None:
    one, two = await listening(feed, "one"), await listening(feed, "two")
    await feed.publish("one", b"1")
    await feed.publish("two", b"2")
    await eventually(lambda: two == [b"2"])
    assert one == [b"1"]


async def test_who_has_ended_hears_no_more(feed: Feed) -> None:
    ended, heard = Heard(), await listening(feed)
    end = feed.listen(CHANNEL, ended)
    end()
    end()
    await feed.publish(CHANNEL, b"hint")
    await eventually(lambda: heard == [b"hint"])
    assert ended == []


async def test_one_who_listens_twice_ends_each_by_itself(feed: Feed) -> None:
    twice = await listening(feed)
    end = feed.listen(CHANNEL, twice)
    end()
    end()
    await feed.publish(CHANNEL, b"hint")
    await eventually(lambda: twice == [b"hint"])


async def test_publishing_to_nobody_does_nothing(feed: Feed) -> None:
    await feed.publish(CHANNEL, b"hint")
    heard = await listening(feed, "another")
    await feed.publish("another", b"later")
    await eventually(lambda: heard == [b"later"])


async def test_a_listener_that_fails_keeps_nothing_from_the_others(feed: Feed) -> None:
    def fails(_: bytes) -> None:
        raise ZeroDivisionError

    feed.listen(CHANNEL, fails)
    heard = await listening(feed)
    await feed.publish(CHANNEL, b"first")
    await feed.publish(CHANNEL, b"second")
    await eventually(lambda: heard == [b"first", b"second"])


async def test_publishing_runs_no_listener_inside(feed: Feed) -> None:
    """A publisher is in the middle of something: what hears it must not run as a part of that."""
    ran_in: list[asyncio.Task[None] | None] = []
    await listening(feed)
    feed.listen(CHANNEL, lambda _: ran_in.append(asyncio.current_task()))
    await feed.publish(CHANNEL, b"hint")
    await eventually(lambda: ran_in)
    assert asyncio.current_task() not in ran_in


async def test_a_listener_may_end_itself(feed: Feed) -> None:
    first = Heard()

    def once(message: bytes) -> None:
        first(message)
        end()

    end = feed.listen(CHANNEL, once)
    bystander = await listening(feed)
    await feed.publish(CHANNEL, b"hint")
    await feed.publish(CHANNEL, b"again")
    await eventually(lambda: bystander == [b"hint", b"again"])
    assert first == [b"hint"]


async def test_a_listener_may_begin_another(feed: Feed) -> None:
    later = Heard()

    def opens(_: bytes) -> None:
        feed.listen(CHANNEL, later)

    feed.listen(CHANNEL, opens)
    bystander = await listening(feed)
    await feed.publish(CHANNEL, b"hint")
    await eventually(lambda: bystander == [b"hint"])
    await feed.publish(CHANNEL, b"again")
    await eventually(lambda: later == [b"again"])


async def test_processes_hear_each_other(redis_url: str) -> None:
    namespace = f"test-{uuid.uuid4().hex}"
    async with redis_feed(redis_url, namespace) as one, redis_feed(redis_url, namespace) as other:
        heard = await listening(other)
        await one.publish(CHANNEL, b"hint")
        await eventually(lambda: heard == [b"hint"])


async def test_namespaces_do_not_meet(redis_url: str) -> None:
    names = [f"test-{uuid.uuid4().hex}" for _ in range(2)]
    async with redis_feed(redis_url, names[0]) as ours, redis_feed(redis_url, names[1]) as theirs:
        heard, overheard = await listening(ours), await listening(theirs)
        await theirs.publish(CHANNEL, b"theirs")
        await ours.publish(CHANNEL, b"ours")
        await eventually(lambda: heard == [b"ours"] and overheard == [b"theirs"])


async def test_before_a_channel_is_live_a_process_hears_itself(redis_url: str) -> None:
    """Not yet started, or away: Redis brings nothing, so what one says oneself comes without it."""
    link = RedisLink(redis_url)
    feed, heard = RedisFeed(link, namespace=f"test-{uuid.uuid4().hex}"), Heard()
    feed.listen(CHANNEL, heard)
    assert not feed.live(CHANNEL)
    await feed.publish(CHANNEL, b"hint")
    await eventually(lambda: heard == [b"hint"])
    await feed.close()
    await link.close()


async def test_a_channel_that_is_left_and_taken_again_comes_alive_again(redis_url: str) -> None:
    async with redis_feed(redis_url, f"test-{uuid.uuid4().hex}") as feed:
        for _ in range(20):
            feed.listen(CHANNEL, Heard())()
            end = feed.listen(CHANNEL, Heard())
            await asyncio.sleep(0)
            end()
        heard = await listening(feed)
        await feed.publish(CHANNEL, b"hint")
        await eventually(lambda: heard == [b"hint"])
        feed.listen("other", heard)
        await eventually(lambda: feed.live("other"))


async def test_a_channel_without_listeners_is_left(redis_url: str) -> None:
    """A process that had a thousand chats open hears of the ones that are."""
    async with redis_feed(redis_url, f"test-{uuid.uuid4().hex}") as feed:
        end = feed.listen(CHANNEL, Heard())
        await eventually(lambda: feed.live(CHANNEL))
        end()
        await eventually(lambda: not feed.live(CHANNEL))


async def test_only_the_answer_to_the_last_word_makes_a_channel_live(redis_url: str) -> None:
    """Subscribed, left, subscribed again: from the leaving to the last answer, hints are lost."""
    link = RedisLink(redis_url)
    feed = RedisFeed(link, namespace="unconnected")
    feed._unanswered.update([CHANNEL] * 3)
    seen = []
    for subscribed in (True, False, True):
        feed._confirm(CHANNEL, subscribed=subscribed)
        seen.append(feed.live(CHANNEL))
    assert seen == [False, False, True]
    await link.close()
