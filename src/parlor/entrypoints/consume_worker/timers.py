"""What happens by the clock: due tasks and schedules, lost leases, old rows."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import fields
from datetime import timedelta
from typing import Protocol

import structlog

from parlor.core.shared.bus import MessageBus
from parlor.core.shared.errors import Contended, ParlorError
from parlor.core.shared.meters import Meters
from parlor.core.shared.spans import SpanKind, Tracer
from parlor.core.shared.tracing import within_trace
from parlor.core.tasks.ports import Reaped, Upkeep
from parlor.core.tasks.schedules_firing import Fired

log = structlog.get_logger()

DUE_EVERY_S = 0.25
FIRE_EVERY_S = 0.5
REAP_EVERY_S = 2.0
HOUSEKEEPING_EVERY_S = 300.0
FIRE_BATCH = 100


class Fire(Protocol):
    """Fires the schedules that are due."""

    async def __call__(self, *, limit: int) -> Fired: ...


class TimersMeter:
    """What is counted about what happens by the clock."""

    def __init__(self, meters: Meters) -> None:
        deleted = meters.tally(
            "parlor_housekeeping_deleted_total",
            "Rows whose time was over; tasks stand for all the smaller tables.",
            "what",
        )
        kept = ("tasks", "dead_letters", "sessions", "logins", "messages")
        self.deleted = {what: deleted.of(what) for what in kept}
        reaped = meters.tally(
            "parlor_tasks_reaped_total",
            "Runs whose worker was lost: put_back, given_up; and messages that the broker lost: republished.",
            "what",
        )
        self._reaped = {each.name: reaped.of(each.name) for each in fields(Reaped)}

    def reaped(self, reaped: Reaped) -> None:
        """Count a round."""
        for what, count in self._reaped.items():
            count.n += getattr(reaped, what)


class Timers:
    """Any number of workers may run them: each statement takes what no other has locked."""

    def __init__(
        self,
        *,
        upkeep: Upkeep,
        bus: MessageBus,
        fire: Fire,
        keep: timedelta,
        keep_letters: timedelta,
        keep_sessions: timedelta,
        keep_logins: timedelta,
        keep_messages: timedelta | None = None,
        meters: Meters | None = None,
    ) -> None:
        self._upkeep = upkeep
        self._bus = bus
        self._fire_schedules = fire
        self._keep = keep
        self._keep_letters = keep_letters
        self._keep_sessions = keep_sessions
        self._keep_logins = keep_logins
        self._keep_messages = keep_messages
        self._meter = TimersMeter(meters or Meters())
        self._loops: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin all of them."""
        rounds = (
            (DUE_EVERY_S, self._release),
            (FIRE_EVERY_S, self._fire),
            (REAP_EVERY_S, self._reap),
            (HOUSEKEEPING_EVERY_S, self._forget),
        )
        for every_s, call in rounds:
            self._loops.append(asyncio.create_task(_every(every_s, call)))

    def failed(self) -> BaseException | None:
        """What ended one of the loops, if something did."""
        return next((loop.exception() for loop in self._loops if loop.done() and not loop.cancelled()), None)

    async def stop(self) -> None:
        """End; every round is one transaction, so nothing is left half done."""
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)

    async def _release(self) -> None:
        while await self._upkeep.release_due():
            pass

    async def _fire(self) -> None:
        """Fire what is due, in batches; a full one may have left some."""
        due = FIRE_BATCH
        while due == FIRE_BATCH:
            fired = await self._fire_schedules(limit=FIRE_BATCH)
            due = fired.schedules
            for schedule_id, reason in fired.disabled.items():
                log.warning("schedule_disabled", schedule=str(schedule_id), reason=reason)

    async def _reap(self) -> None:
        reaped = await self._upkeep.reap(await self._bus.idle_queues())
        self._meter.reaped(reaped)
        if reaped.put_back or reaped.given_up or reaped.republished:
            log.warning(
                "reaped", put_back=reaped.put_back, given_up=reaped.given_up, republished=reaped.republished
            )

    async def _forget(self) -> None:
        rounds = (
            ("tasks", self._upkeep.forget_ended, self._keep),
            ("dead_letters", self._upkeep.forget_letters, self._keep_letters),
            ("sessions", self._upkeep.forget_sessions, self._keep_sessions),
            ("logins", self._upkeep.forget_logins, self._keep_logins),
            ("messages", self._upkeep.forget_messages, self._keep_messages),
        )
        for what, forget, keep in rounds:
            while keep is not None and (deleted := await forget(keep)):
                self._meter.deleted[what].n += deleted


def in_traces(fire: Fire, tracer: Tracer) -> Fire:
    """Have what schedules order in one round be a trace; of a round that did nothing nobody hears."""

    async def traced(*, limit: int) -> Fired:
        span = tracer.begin("FireSchedules", SpanKind.INTERNAL, parent=None)
        with within_trace(span.traceparent):
            fired = await fire(limit=limit)
        if fired.schedules:
            span.note({"parlor.schedules": fired.schedules})
            span.end()
        return fired

    return traced


async def _every(seconds: float, call: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await call()
        except (ParlorError, Contended) as error:
            log.warning("timer_waits", error=type(error).__name__)
        await asyncio.sleep(seconds)
