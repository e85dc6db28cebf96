"""The feed while Redis dies, hangs and comes back: live exactly as long as hints arrive."""

from collections.abc import Iterator

import pytest

from tests.redis import process
from tests.servers import Redis
from tests.waiting import eventually


@pytest.fixture
def server() -> Iterator[Redis]:
    """Start a Redis of this test's own, to kill and to freeze."""
    with Redis() as server:
        yield server


async def test_the_feed_is_not_live_while_redis_is_away_and_comes_back(server: Redis) -> None:
    async with process(server) as ours:
        heard: list[bytes] = []
        resumed: list[bool] = []
        ours.feed.listen("channel", heard.append, lambda: resumed.append(ours.feed.live("channel")))
        await eventually(lambda: ours.feed.live("channel"))
        assert resumed == [True]
        server.kill()
        await eventually(lambda: not ours.feed.live("channel"))
        await ours.feed.publish("channel", b"to ourselves")
        await eventually(lambda: heard == [b"to ourselves"])
        server.start()
        await eventually(lambda: ours.feed.live("channel"))

        async def through() -> bool:
            await ours.feed.publish("channel", b"through Redis")
            return b"through Redis" in heard

        await eventually(through)
        assert resumed == [True, True]


async def test_a_feed_that_starts_without_redis_comes_alive_with_it(server: Redis) -> None:
    server.kill()
    async with process(server) as ours:
        ours.feed.listen("channel", lambda _: None)
        assert not ours.feed.live("channel")
        assert not ours.feed.hears
        server.start()
        await eventually(lambda: ours.feed.live("channel"))
        assert ours.feed.hears


async def test_a_feed_whose_redis_falls_silent_is_not_live(server: Redis) -> None:
    """The connection stands, as after a pulled cable; only the missing answers tell.

    Until then nobody hears anything, but in this process what may be heard again.
    """
    async with process(server) as ours:
        heard: list[bytes] = []
        ours.feed.listen("channel", heard.append)
        await eventually(lambda: ours.feed.live("channel"))
        server.pause()
        assert ours.feed.live("channel")
        await ours.feed.publish("channel", b"nowhere")
        await ours.feed.publish("channel", b"at least here", repeatable=True)
        await eventually(lambda: heard == [b"at least here"])
        await eventually(lambda: not ours.feed.live("channel"))
        server.resume()
        await eventually(lambda: ours.feed.live("channel"))
