"""The turnstile: one after the other for the same party, and nothing left behind."""

import asyncio

import pytest

from parlor.adapters.memory import turnstile
from parlor.adapters.memory.turnstile import MemoryTurnstile
from parlor.core.shared.errors import Busy
from parlor.core.shared.ids import PartyId, uuid7

HERE, THERE = PartyId(uuid7()), PartyId(uuid7())


async def test_who_comes_to_the_same_party_waits_in_the_order_of_coming() -> None:
    gate, seen = MemoryTurnstile(), list[int]()
    inside = 0

    async def come(number: int) -> None:
        nonlocal inside
        async with gate(HERE):
            inside += 1
            assert inside == 1
            await asyncio.sleep(0)
            seen.append(number)
            inside -= 1

    await asyncio.gather(*map(come, range(5)))
    assert seen == [0, 1, 2, 3, 4]
    assert gate._locks == {}


async def test_other_parties_do_not_wait() -> None:
    gate = MemoryTurnstile()
    async with gate(HERE), gate(THERE):
        assert len(gate._locks) == 2
    assert gate._locks == {}


async def test_nobody_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = MemoryTurnstile()
    monkeypatch.setattr(turnstile, "PATIENCE_S", 0.01)
    async with gate(HERE):
        with pytest.raises(Busy):
            await gate(HERE).__aenter__()
    async with gate(HERE):
        pass
    assert gate._locks == {}


async def test_who_fails_holds_up_nobody() -> None:
    gate = MemoryTurnstile()

    async def fail() -> None:
        async with gate(HERE):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    async with gate(HERE):
        pass
    assert gate._locks == {}
