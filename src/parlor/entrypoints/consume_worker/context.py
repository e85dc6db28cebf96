"""What a running handler holds of its run."""

from collections.abc import Callable
from contextlib import AsyncExitStack

import structlog

from parlor.core.shared.actor import Actor
from parlor.core.shared.handling import HandlerLog
from parlor.core.shared.ids import TaskId
from parlor.core.shared.work import Work
from parlor.core.tasks.model import Attempt, Progress, Succeeded
from parlor.core.tasks.ports import FinishingWork, Runs


class LeaseLost(Exception):
    """Somebody else owns the task now: what this run did in the database is rolled back."""


class RunContext:
    """Port `Context`: one attempt's own."""

    __slots__ = ("_attempt", "_report", "_runs", "_stack", "_work")

    def __init__(self, attempt: Attempt, runs: Runs, report: Callable[[Attempt, Progress], None]) -> None:
        self._attempt = attempt
        self._runs = runs
        self._report = report
        self._stack: AsyncExitStack | None = None
        self._work: FinishingWork | None = None

    @property
    def task_id(self) -> TaskId:
        """The task."""
        return self._attempt.task_id

    @property
    def attempt(self) -> int:
        """1 for the first."""
        return self._attempt.attempt

    @property
    def requester(self) -> Actor:
        """Who asked."""
        return self._attempt.requested_by.actor()

    @property
    def traceparent(self) -> str | None:
        """The trace that came with the task."""
        return self._attempt.traceparent

    @property
    def log(self) -> HandlerLog:
        """Lines that carry the run's ids."""
        logger: HandlerLog = structlog.get_logger().bind(
            task_id=str(self._attempt.task_id), kind=self._attempt.kind, attempt=self._attempt.attempt
        )
        return logger

    @property
    def opened(self) -> bool:
        """Whether the handler uses a transaction of its own."""
        return self._work is not None

    async def progress(self, current: int, total: int, message: str = "") -> None:
        """Remember the newest; the runner stores it."""
        self._report(self._attempt, Progress(current, total, message[:200]))

    async def work(self) -> Work:
        """Open the finishing transaction, once."""
        if self._work is None:
            self._stack = AsyncExitStack()
            self._work = await self._stack.enter_async_context(self._runs.alone())
        return self._work

    async def commit_with(self, ending: Succeeded) -> None:
        """End the task in the handler's transaction; raises LeaseLost, and then nothing was done."""
        assert self._stack is not None
        assert self._work is not None
        async with self._stack:
            if not await self._work.finish(ending):
                raise LeaseLost

    async def abandon(self) -> None:
        """Roll back what the handler did, if it did anything."""
        if self._stack is not None:
            await self._stack.__aexit__(LeaseLost, LeaseLost(), None)
