"""The password hasher under a storm of logins, beside a loop that has other things to do."""

import asyncio
import os
from pathlib import Path

import pytest

from parlor.adapters.security.passwords import NICENESS, BcryptHasher
from parlor.core.shared.errors import Busy
from tests.waiting import eventually


async def outcome(hasher: BcryptHasher, stored: str, password: str) -> bool | None:
    """Log in; None where the queue was full."""
    try:
        return await hasher.verify(password, stored)
    except Busy:
        return None


async def test_a_storm_is_answered_or_told_to_wait_and_leaves_nothing() -> None:
    """Nobody gets a wrong answer, and nobody is forgotten."""
    hasher = BcryptHasher(cost=8, threads=2)
    stored = await hasher.hash("right")
    passwords = ["right", "wrong"] * 500
    answers = await asyncio.gather(*(outcome(hasher, stored, password) for password in passwords))
    for password, answer in zip(passwords, answers, strict=True):
        assert answer in {None, password == "right"}
    assert True in answers
    await eventually(lambda: hasher.depth == 0)
    assert await hasher.verify("right", stored)
    hasher.close()


async def test_a_storm_beyond_two_seconds_of_work_is_partly_refused() -> None:
    hasher = BcryptHasher(cost=12, threads=1)
    answers = asyncio.gather(*(outcome(hasher, "none of ours", "password") for _ in range(200)))
    assert hasher.depth == 0
    await asyncio.sleep(0)
    assert 1 <= hasher.depth <= hasher.most < 200
    answers.cancel()
    with pytest.raises(asyncio.CancelledError):
        await answers
    await eventually(lambda: hasher.depth == 0)
    hasher.close()


async def test_the_loop_turns_while_passwords_are_hashed() -> None:
    """Hashing is not in the loop's thread: it turns many times before one hash is done."""
    hasher = BcryptHasher(cost=11, threads=2)
    hashing = asyncio.create_task(hasher.hash("password"))
    turns = 0
    while not hashing.done():
        turns += 1
        await asyncio.sleep(0)
    assert turns > 100
    hasher.close()


async def test_hashing_lets_every_other_thread_go_first() -> None:
    hasher = BcryptHasher(cost=11, threads=1)
    hashing = asyncio.create_task(hasher.hash("password"))
    await eventually(lambda: NICENESS in niceness_of_threads())
    assert os.getpriority(os.PRIO_PROCESS, 0) < NICENESS
    await hashing
    hasher.close()


def niceness_of_threads() -> list[int]:
    return [os.getpriority(os.PRIO_PROCESS, int(one.name)) for one in Path("/proc/self/task").iterdir()]


async def test_after_its_close_what_waits_is_cancelled() -> None:
    hasher = BcryptHasher(cost=10, threads=1)
    waiting = [asyncio.create_task(hasher.hash("password")) for _ in range(8)]
    await eventually(lambda: hasher.depth > 0)
    hasher.close()
    done = await asyncio.gather(*waiting, return_exceptions=True)
    assert any(isinstance(each, asyncio.CancelledError) for each in done)
    await eventually(lambda: hasher.depth == 0)
