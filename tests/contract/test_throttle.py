"""Port Throttle: one test body over memory, Redis, and both beside each other, on one clock."""

import random
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import pytest

from parlor.adapters.memory.throttle import MemoryThrottle
from parlor.adapters.redis.client import RedisLink
from parlor.adapters.redis.throttle import RedisThrottle
from parlor.adapters.throttling import SharedThrottle
from parlor.core.identity.throttling import Rule, Throttle
from parlor.core.shared.errors import TooMany
from tests.waiting import PATIENCE_S

PLAIN = Rule("plain", tries=5, window_s=10.0)
PATIENT = Rule("patient", tries=3, patient=True)
RULES = pytest.mark.parametrize("rule", [PLAIN, PATIENT], ids=["plain", "patient"])


@dataclass(slots=True)
class Time:
    """A clock that all of them read, in milliseconds."""

    ms: int = 1_700_000_000_000

    def pass_by(self, seconds: float) -> None:
        self.ms += round(1000 * seconds)


@dataclass(slots=True)
class Counted:
    """A throttle, and the time by which it counts."""

    throttle: Throttle
    time: Time

    async def take(self, rule: Rule, key: str = "ada") -> int:
        """Try once; answers the seconds to wait, 0 where it was let in."""
        try:
            await self.throttle.take(rule, key)
        except TooMany as refused:
            return refused.retry_after
        return 0

    async def takes(self, rule: Rule, times: int, key: str = "ada") -> list[int]:
        return [await self.take(rule, key) for _ in range(times)]


def in_memory(time: Time, scale: float) -> MemoryThrottle:
    return MemoryThrottle(scale=scale, monotonic=lambda: time.ms / 1000)


def in_redis(link: RedisLink, time: Time, scale: float) -> RedisThrottle:
    return RedisThrottle(link, namespace=f"test-{uuid.uuid4().hex}", scale=scale, now_ms=lambda: time.ms)


@pytest.fixture
async def link(redis_url: str) -> AsyncIterator[RedisLink]:
    link = RedisLink(redis_url, timeout_s=PATIENCE_S)
    yield link
    await link.close()


def opened(kind: str, link: RedisLink, scale: float = 1.0) -> Counted:
    time = Time()
    match kind:
        case "memory":
            return Counted(in_memory(time, scale), time)
        case "redis":
            return Counted(in_redis(link, time, scale), time)
        case _:
            both = SharedThrottle(in_redis(link, time, scale), in_memory(time, scale))
            return Counted(both, time)


@pytest.fixture(params=["memory", "redis", "shared"])
def counted(request: pytest.FixtureRequest, link: RedisLink) -> Counted:
    return opened(request.param, link)


async def test_so_many_at_once_and_then_one_by_one(counted: Counted) -> None:
    assert await counted.takes(PLAIN, 6) == [0, 0, 0, 0, 0, 2]
    counted.time.pass_by(1.999)
    assert await counted.take(PLAIN) == 1
    counted.time.pass_by(0.001)
    assert await counted.takes(PLAIN, 2) == [0, 2]


async def test_after_its_window_it_is_as_new(counted: Counted) -> None:
    await counted.takes(PLAIN, 9)
    counted.time.pass_by(PLAIN.window_s)
    assert await counted.takes(PLAIN, 6) == [0, 0, 0, 0, 0, 2]


async def test_a_patient_one_makes_each_try_wait_longer_up_to_a_minute(counted: Counted) -> None:
    assert await counted.takes(PATIENT, 3) == [0, 0, 0]
    waits = []
    for _ in range(9):
        waits.append(await counted.take(PATIENT))
        counted.time.pass_by(waits[-1] - 0.001)
        assert await counted.take(PATIENT) == 1
        counted.time.pass_by(0.001)
        assert await counted.take(PATIENT) == 0
    assert waits == [1, 2, 4, 8, 16, 32, 32, 60, 60]


async def test_a_patient_one_forgets_a_try_a_minute(counted: Counted) -> None:
    await counted.takes(PATIENT, 3)
    counted.time.pass_by(59.999)
    assert await counted.takes(PATIENT, 2) == [0, 2]
    counted.time.pass_by(300)
    assert await counted.takes(PATIENT, 4) == [0, 0, 0, 1]


@RULES
async def test_what_is_refused_is_not_counted(counted: Counted, rule: Rule) -> None:
    """Whoever goes on all the same makes nobody wait longer."""
    (*_, wait) = await counted.takes(rule, rule.tries + 1)
    assert await counted.takes(rule, 50) == [wait] * 50
    counted.time.pass_by(wait)
    assert await counted.take(rule) == 0


@RULES
async def test_what_is_given_back_has_not_been_tried(counted: Counted, rule: Rule) -> None:
    for _ in range(3 * rule.tries):
        await counted.throttle.take(rule, "ada")
        await counted.throttle.give_back(rule, "ada")
    (*fine, wait) = await counted.takes(rule, rule.tries + 1)
    assert fine == [0] * rule.tries
    assert wait


@RULES
async def test_giving_back_more_than_was_taken_opens_nothing(counted: Counted, rule: Rule) -> None:
    for _ in range(3):
        await counted.throttle.give_back(rule, "ada")
    assert (await counted.takes(rule, rule.tries + 1))[-1]


@RULES
async def test_keys_and_rules_count_for_themselves(counted: Counted, rule: Rule) -> None:
    other = Rule("other", tries=1)
    assert (await counted.takes(rule, rule.tries + 1))[-1]
    assert await counted.take(rule, "bob") == 0
    assert await counted.take(other) == 0


@pytest.mark.parametrize(
    "key", ["", "a" * 100_000, "\n\0 *", "\ud800"], ids=["empty", "long", "odd", "surrogate"]
)
async def test_any_text_is_a_key(counted: Counted, key: str) -> None:
    assert (await counted.takes(PLAIN, 6, key))[-1]


@pytest.mark.parametrize("kind", ["memory", "redis"])
@pytest.mark.parametrize(("scale", "tries"), [(0.001, 1), (0.4, 2), (3, 15)])
async def test_the_scale_multiplies_the_tries(kind: str, link: RedisLink, scale: float, tries: int) -> None:
    counted = opened(kind, link, scale)
    assert await counted.takes(PLAIN, tries) == [0] * tries
    assert await counted.take(PLAIN)


@RULES
@pytest.mark.parametrize("seed", range(4))
async def test_memory_and_redis_count_alike(link: RedisLink, rule: Rule, seed: int) -> None:
    """Any tries at any times, given back or not."""
    drawn = random.Random(seed)
    ours: Sequence[Counted] = [opened(kind, link) for kind in ("memory", "redis", "shared")]
    for _ in range(150):
        passed = drawn.choice([0, 0, 0.001, 0.5, 1, 2, 7.3, 60])
        forgiven = drawn.random() < 0.2
        answers = []
        for one in ours:
            one.time.pass_by(passed)
            answers.append(await one.take(rule))
            if forgiven and answers[-1] == 0:
                await one.throttle.give_back(rule, "ada")
        assert len(set(answers)) == 1, answers


async def test_two_processes_have_one_limit(link: RedisLink) -> None:
    time = Time()
    shared = in_redis(link, time, 1.0)
    two = [Counted(SharedThrottle(shared, in_memory(time, 1.0)), time) for _ in range(2)]
    answers = [await two[number % 2].take(PLAIN) for number in range(8)]
    assert answers == [0, 0, 0, 0, 0, 2, 2, 2]


async def test_what_the_others_left_no_room_for_is_not_held_against_anybody(link: RedisLink) -> None:
    """A process counts what it let in, not what it refused because another one had let in enough."""
    time = Time()
    shared = in_redis(link, time, 1.0)
    one, other = (Counted(SharedThrottle(shared, in_memory(time, 1.0)), time) for _ in range(2))
    await one.takes(PLAIN, 3)
    assert (await other.takes(PLAIN, 20)).count(0) == 2
    for _ in range(3):
        await one.throttle.give_back(PLAIN, "ada")
    assert (await other.takes(PLAIN, 20)).count(0) == 3


async def test_its_keys_in_redis_say_nothing_and_end(link: RedisLink) -> None:
    time = Time()
    throttle = RedisThrottle(link, namespace=(name := f"test-{uuid.uuid4().hex}"), now_ms=lambda: time.ms)
    await throttle.take(PLAIN, "ada@example.org")
    await throttle.take(PATIENT, "ada@example.org")
    keys = [key async for key in link.redis.scan_iter(f"{name}*")]
    assert len(keys) == 2
    assert not any(b"ada" in key for key in keys)
    left = sorted([await link.redis.pttl(key) for key in keys])
    assert 0 < left[0] <= 2001
    assert 2001 < left[1] <= 60_001
