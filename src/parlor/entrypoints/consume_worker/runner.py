"""Deliveries become runs: claimed in batches, run under their leases, ended in batches, then acknowledged."""

import asyncio
import time
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import structlog

from parlor.core.shared.bus import Delivery, Inbox
from parlor.core.shared.errors import Contended, Unavailable
from parlor.core.shared.feed import Feed, set_within
from parlor.core.shared.ids import TaskId
from parlor.core.shared.meters import Meters
from parlor.core.shared.tracing import of_trace
from parlor.core.tasks.cancelling import CANCELLED_CHANNEL, read_cancelled
from parlor.core.tasks.foreign import AdmitForeign
from parlor.core.tasks.model import LONG_S, Attempt, Ending, Succeeded
from parlor.core.tasks.ports import Runs
from parlor.core.tasks.running import RunAttempt
from parlor.entrypoints.consume_worker.attempts import Attempts, Told
from parlor.entrypoints.consume_worker.context import RunContext
from parlor.entrypoints.consume_worker.endings import Endings
from parlor.entrypoints.consume_worker.intake import Intake
from parlor.entrypoints.consume_worker.patience import patiently
from parlor.entrypoints.consume_worker.run_meter import CANCELLED, NOT_RENEWED, RunMeter

log = structlog.get_logger()

MOST_IN_A_BATCH = 250
PROGRESS_EVERY_S = 0.25
GIVE_UP_S = 5.0
HELD_BACK_EVERY_S = 1.0
FIRST_WAIT_S, LONGEST_WAIT_S = 0.05, 2.0

AnswerT = TypeVar("AnswerT")


@dataclass(slots=True)
class Run:
    """A claimed attempt that has not been stored as ended, with the delivery that waits for it, if it still does."""

    attempt: Attempt
    delivery: Delivery | None
    job: asyncio.Task[None] | None = None


class Runner:
    """Runs at most `slots` tasks at once, and claims only what it can start at once."""

    def __init__(
        self,
        *,
        inbox: Inbox,
        runs: Runs,
        admit: AdmitForeign,
        run_attempt: RunAttempt,
        feed: Feed,
        slots: int,
        lease_s: float,
        limited: Collection[str] = (),
        attempts: Attempts | None = None,
        meters: Meters | None = None,
    ) -> None:
        self._inbox = inbox
        self._runs = runs
        self._run_attempt = run_attempt
        self._feed = feed
        self._slots = slots
        self._lease_s = lease_s
        self._limited = frozenset(limited)
        self._attempts = attempts or Attempts()
        self._held: dict[TaskId, Run] = {}
        self._meter = RunMeter(meters or Meters(), running=lambda: self.running, slots=slots)
        self._intake = Intake(inbox, runs, admit, self._attempts, self._meter)
        self._endings = Endings(runs, feed, settle=self._settle, give_back=self._unsettle)
        self._freed = asyncio.Event()
        self._room = asyncio.Event()
        self._beginnings: set[asyncio.Task[None]] = set()
        self._taking: list[asyncio.Task[None]] = []
        self._keeping: list[asyncio.Task[None]] = []
        self._stopping: set[asyncio.Task[None]] = set()
        self._deaf: Callable[[], None] = _hears_nothing

    @property
    def running(self) -> int:
        """How many runs are held."""
        return len(self._held)

    def start(self) -> None:
        """Begin to take, renew, store, and to hear what is cancelled."""
        self._deaf = self._feed.listen(CANCELLED_CHANNEL, self._heard_cancelled)
        self._taking = [asyncio.create_task(self._take())]
        if self._limited:
            self._taking.append(asyncio.create_task(self._take_held_back()))
        ends = self._endings
        keeping = (self._renew(), ends.keep_storing(), ends.keep_reporting(), ends.keep_telling())
        self._keeping = [asyncio.create_task(loop) for loop in keeping]

    def failed(self) -> BaseException | None:
        """What ended one of the loops, if something did: a mistake of ours, since they outlive any outage."""
        loops = (*self._taking, *self._keeping)
        return next((loop.exception() for loop in loops if loop.done() and not loop.cancelled()), None)

    async def stop(self, drain_s: float) -> None:
        """Take no more, wait for what runs, then give back what still does, its attempt unspent."""
        await self._inbox.pause()
        for loop in self._taking:
            loop.cancel()
        if self._beginnings:
            await asyncio.wait(self._beginnings, timeout=max(drain_s, GIVE_UP_S))
        jobs = [run.job for run in self._held.values() if run.job is not None]
        if jobs:
            await asyncio.wait(jobs, timeout=drain_s)
        await self._give_back()
        await self._store_the_rest()
        for loop in self._keeping:
            loop.cancel()
        await self._endings.tell_all()
        self._deaf()
        await asyncio.gather(*self._taking, *self._keeping, *self._stopping, return_exceptions=True)

    async def _give_back(self) -> None:
        jobs = [run.job for run in self._unended() if run.job is not None]
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)
        held = {run.attempt.task_id: run.attempt.fence for run in self._unended()}
        if held:
            await self._returned(held)
            await self._settle(held)

    def _unended(self) -> list[Run]:
        return [
            run
            for run in self._held.values()
            if not self._endings.has(run.attempt.task_id, run.attempt.fence)
        ]

    async def _store_the_rest(self) -> None:
        """Store what has ended; where the database stays away, those runs are lost, and run again."""
        try:
            async with asyncio.timeout(GIVE_UP_S):
                await self._endings.store_all()
        except TimeoutError:
            log.warning("ends_not_stored")

    async def _returned(self, held: Mapping[TaskId, int]) -> None:
        """Give the tasks back; where the database stays away, their leases end and the reaper does it."""
        try:
            async with asyncio.timeout(GIVE_UP_S):
                await patiently(partial(self._runs.give_back, held))
        except TimeoutError:
            log.warning("not_given_back", tasks=len(held))

    async def _take(self) -> None:
        while True:
            while len(self._held) >= self._slots:
                self._freed.clear()
                await self._freed.wait()
            deliveries = await self._inbox.take(self._slots - len(self._held))
            await self._whole(self._begin(deliveries))

    async def _take_held_back(self) -> None:
        """Claim what was held back once its kind has room: after an end here, or by the clock after one elsewhere."""
        while True:
            await set_within(self._room, HELD_BACK_EVERY_S)
            self._room.clear()
            if (most := self._slots - len(self._held)) > 0:
                await self._whole(self._begin_held_back(most))

    async def _whole(self, beginning: Coroutine[None, None, None]) -> None:
        """Let it come to its end, also when a shutdown ends us: what was claimed must be run, or given back."""
        job = asyncio.create_task(beginning)
        self._beginnings.add(job)
        job.add_done_callback(self._beginnings.discard)
        await asyncio.shield(job)

    async def _begin_held_back(self, most: int) -> None:
        for attempt in await patiently(partial(self._runs.claim_held_back, most)):
            await self._start(attempt, None, attempt.traceparent)

    async def _begin(self, deliveries: Sequence[Delivery]) -> None:
        dealt = await self._intake.read(deliveries)
        waiting, done = dealt.deliveries, list(dealt.repeated)
        for attempt in await self._intake.claim(dealt):
            delivery = waiting.pop(attempt.task_id, None)  # none for one that was held back until now
            parent = self._attempts.parent(attempt, delivery)
            if delivery is not None and attempt.timeout_s > LONG_S:
                # The lease is its durability, so the broker's own timeout never matters.
                done.append(delivery)
                delivery = None
            await self._start(attempt, delivery, parent)
        if waiting:
            self._room.set()  # they may have been held back just now
        await self._inbox.acknowledge([*waiting.values(), *done])

    async def _start(self, attempt: Attempt, delivery: Delivery | None, parent: str | None) -> None:
        await self._supersede(attempt.task_id)
        run = self._held[attempt.task_id] = Run(attempt, delivery)
        run.job = asyncio.create_task(self._run(attempt, parent), context=of_trace(attempt.traceparent))

    async def _supersede(self, task_id: TaskId) -> None:
        """End an older run of ours of the same task: its lease was lost, or we could not have claimed it again."""
        older = self._held.get(task_id)
        if older is not None:
            if older.job is not None:
                older.job.cancel()
            await self._settle({task_id: older.attempt.fence})

    async def _run(self, attempt: Attempt, parent: str | None) -> None:
        began, ending, stored = time.perf_counter(), None, False
        try:
            with self._attempts.told(attempt, parent) as told:
                ending, stored = await self._ended(told)
        finally:
            self._meter.ended(attempt.kind, ending, time.perf_counter() - began)
        if not stored:
            self._endings.add(ending)

    async def _ended(self, told: Told) -> tuple[Ending, bool]:
        """Run it; answers its end, and whether the handler's own transaction has stored that already."""
        attempt = told.attempt
        context = RunContext(attempt, self._runs, self._endings.report)
        try:
            ending = await self._run_attempt(attempt, context)
            if context.opened and isinstance(ending, Succeeded):
                await context.commit_with(ending)
                self._endings.tell([attempt.task_id])
                await self._settle({attempt.task_id: attempt.fence})
                return told.ends(ending), True
            await context.abandon()
        except asyncio.CancelledError:
            await context.abandon()
            if _cancelled_from_outside():
                raise
            ending = self._run_attempt.again(attempt, "handler_error", "The handler cancelled itself.")
        except Exception as error:  # noqa: BLE001 - the commit failed: the run has not happened, and is tried again
            log.warning("finishing_failed", task_id=str(attempt.task_id), error=type(error).__name__)
            ending = self._run_attempt.again(attempt, "commit_failed", "The result could not be stored.")
        return told.ends(ending), False

    async def _settle(self, ended: Mapping[TaskId, int]) -> None:
        """Let go of the runs under these fences: the same task may be held again, under a newer one."""
        await self._inbox.acknowledge(self._released(ended))

    async def _unsettle(self, refused: Mapping[TaskId, int]) -> None:
        """Let go of runs whose end was refused: whether a message is needed still, its next claim finds out."""
        self._meter.ends_refused.n += len(refused)
        await self._inbox.give_back(self._released(refused))

    def _released(self, held: Mapping[TaskId, int]) -> list[Delivery]:
        runs = [self._held.pop(task_id) for task_id, fence in held.items() if self._holds(task_id, fence)]
        self._freed.set()
        if any(run.attempt.kind in self._limited for run in runs):
            self._room.set()
        return [run.delivery for run in runs if run.delivery is not None]

    def _holds(self, task_id: TaskId, fence: int) -> bool:
        run = self._held.get(task_id)
        return run is not None and run.attempt.fence == fence

    async def _renew(self) -> None:
        """Keep the leases of all that runs; what is no longer ours is cancelled, and its end would be refused."""
        while True:
            await asyncio.sleep(self._lease_s / 3)
            held = {task_id: run.attempt.fence for task_id, run in self._held.items()}
            if not held:
                continue
            try:
                ours = await self._runs.renew(held)
            except (Unavailable, Contended) as error:
                log.warning("renewal_failed", error=type(error).__name__, held=len(held))
                continue
            lost = {task_id: fence for task_id, fence in held.items() if task_id not in ours}
            await self._let_go(lost, NOT_RENEWED)

    async def _let_go(self, lost: Mapping[TaskId, int], why: str) -> None:
        for task_id, fence in lost.items():
            run = self._held.get(task_id)
            if run is None or run.attempt.fence != fence or self._endings.has(task_id, fence):
                continue
            if run.job is not None and not run.job.done():
                log.warning("run_let_go", task_id=str(task_id), kind=run.attempt.kind)
                self._meter.let_go(why)
                run.job.cancel()
                await self._settle({task_id: fence})

    def _heard_cancelled(self, message: bytes) -> None:
        ours = {task_id: fence for task_id, fence in read_cancelled(message) if self._holds(task_id, fence)}
        if ours:
            job = asyncio.create_task(self._let_go(ours, CANCELLED))
            self._stopping.add(job)
            job.add_done_callback(self._stopping.discard)


def _hears_nothing() -> None:
    """Before the start there is nothing to end."""


def _cancelled_from_outside() -> bool:
    job = asyncio.current_task()
    return job is not None and job.cancelling() > 0
