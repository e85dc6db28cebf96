"""The timers' rounds over schedules."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import cast

import pytest
from structlog.testing import capture_logs

from parlor.core.shared.bus import MessageBus
from parlor.core.shared.errors import Contended, DatabaseAway
from parlor.core.shared.ids import ScheduleId, uuid7
from parlor.core.shared.meters import Meters
from parlor.core.tasks.ports import Reaped, Upkeep
from parlor.core.tasks.schedules_firing import Fired, FireSchedules
from parlor.entrypoints.consume_worker import timers as module
from parlor.entrypoints.consume_worker.timers import FIRE_BATCH, Timers
from tests.builders import a_task
from tests.waiting import eventually


class Idle:
    """Ports Upkeep and MessageBus, as far as timers ask: nothing is to be done, but for old messages, once."""

    def __init__(self) -> None:
        self.kept: list[timedelta] = []

    async def release_due(self) -> int:
        return 0

    async def reap(self, _idle_queues: frozenset[str]) -> Reaped:
        return Reaped(0, 0, 0)

    async def forget_ended(self, _keep: timedelta) -> int:
        return 0

    async def forget_letters(self, _keep: timedelta) -> int:
        return 0

    async def forget_sessions(self, _keep: timedelta) -> int:
        return 0

    async def forget_logins(self, _keep: timedelta) -> int:
        return 0

    async def forget_messages(self, keep: timedelta) -> int:
        self.kept.append(keep)
        return len(self.kept) % 2

    async def idle_queues(self) -> frozenset[str]:
        return frozenset()


@dataclass
class Fire:
    """Answers round by round what the test says, and then that nothing is due."""

    rounds: list[Fired | Exception] = field(default_factory=list)
    asked: int = 0

    async def __call__(self, *, limit: int) -> Fired:
        assert limit == FIRE_BATCH
        self.asked += 1
        answer = self.rounds.pop(0) if self.rounds else Fired()
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def fire() -> Fire:
    return Fire()


@pytest.fixture
def idle() -> Idle:
    return Idle()


@pytest.fixture
async def timers(fire: Fire, idle: Idle) -> AsyncIterator[Timers]:
    timers = Timers(
        upkeep=cast("Upkeep", idle),
        bus=cast("MessageBus", idle),
        fire=cast("FireSchedules", fire),
        keep=timedelta(days=1),
        keep_letters=timedelta(days=1),
        keep_sessions=timedelta(days=1),
        keep_logins=timedelta(days=1),
        keep_messages=timedelta(days=30),
    )
    yield timers
    await timers.stop()


async def test_what_is_deleted_and_reaped_is_counted(fire: Fire) -> None:
    @dataclass
    class Busy(Idle):
        left: int = 1300

        async def reap(self, _idle_queues: frozenset[str]) -> Reaped:
            return Reaped(3, 2, 1)

        async def forget_logins(self, _keep: timedelta) -> int:
            batch = min(self.left, 1000)
            self.left -= batch
            return batch

    meters, busy, day = Meters(), Busy(), timedelta(days=1)
    timers = Timers(
        upkeep=cast("Upkeep", busy),
        bus=cast("MessageBus", busy),
        fire=cast("FireSchedules", fire),
        keep=day,
        keep_letters=day,
        keep_sessions=day,
        keep_logins=day,
        meters=meters,
    )
    deleted = meters.tally("parlor_housekeeping_deleted_total", "", "what")
    timers.start()
    await eventually(lambda: deleted.readings()["logins",] == 1300)
    await timers.stop()
    reaped = meters.tally("parlor_tasks_reaped_total", "", "what").readings()
    assert reaped == {("put_back",): 3, ("given_up",): 2, ("republished",): 1}


async def test_a_full_batch_is_followed_by_another_at_once(
    timers: Timers, fire: Fire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRE_EVERY_S", 3600)
    full = [a_task() for _ in range(FIRE_BATCH - 1)]
    fire.rounds = [Fired(full, {ScheduleId(uuid7()): "never_due"}), Fired(full), Fired()]
    timers.start()
    await eventually(lambda: fire.asked == 2)
    assert fire.rounds == [Fired()]


async def test_messages_are_forgotten_batch_by_batch(timers: Timers, idle: Idle) -> None:
    timers.start()
    await eventually(lambda: idle.kept == [timedelta(days=30)] * 2)


async def test_they_are_kept_where_nobody_says_for_how_long(
    timers: Timers, idle: Idle, fire: Fire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timers, "_keep_messages", None)
    monkeypatch.setattr(module, "FIRE_EVERY_S", 0.001)
    monkeypatch.setattr(module, "HOUSEKEEPING_EVERY_S", 0.001)
    timers.start()
    await eventually(lambda: fire.asked > 9)
    assert idle.kept == []


async def test_the_rounds_outlive_the_database(
    timers: Timers, fire: Fire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRE_EVERY_S", 0.001)
    fire.rounds = [DatabaseAway(), Contended("schedules"), Fired()]
    timers.start()
    await eventually(lambda: not fire.rounds)
    assert timers.failed() is None


async def test_a_schedule_that_had_to_be_disabled_is_logged_with_the_reason(
    timers: Timers, fire: Fire
) -> None:
    broken = ScheduleId(uuid7())
    fire.rounds = [Fired(disabled={broken: "permission_missing"})]
    with capture_logs() as lines:
        timers.start()
        await eventually(lambda: lines)
    assert lines == [
        {
            "event": "schedule_disabled",
            "log_level": "warning",
            "schedule": str(broken),
            "reason": "permission_missing",
        }
    ]
