"""The event loop's lag: who blocks it is seen."""

import time

import pytest

from parlor.adapters import event_loop
from parlor.adapters.event_loop import EventLoopLag
from parlor.core.shared.meters import Meters
from tests.waiting import eventually

BLOCKED_S = 0.03


async def test_who_blocks_the_loop_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_loop, "EVERY_S", 0.001)
    meters = Meters()
    late = meters.timing("parlor_event_loop_lag_seconds", "").of()
    lag = EventLoopLag(meters)
    await lag.start()
    await eventually(lambda: sum(late.counts))
    before = late.total_s
    time.sleep(BLOCKED_S)  # noqa: ASYNC251 - that is what is to be seen
    await eventually(lambda: late.total_s - before > BLOCKED_S / 2)
    await lag.close()
