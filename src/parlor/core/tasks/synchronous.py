"""Handlers that block: each call has a thread, and a context that may be used from there."""

import asyncio
from inspect import iscoroutinefunction
from typing import Any, cast
from weakref import WeakKeyDictionary

from parlor.core.shared.actor import Actor
from parlor.core.shared.handling import Context, Handler, HandlerLog, SyncHandler
from parlor.core.shared.ids import TaskId
from parlor.core.tasks.ports import AnyHandler, Threads


class FromThread:
    """Port `ThreadContext`, over the run's own context, which lives in the event loop."""

    def __init__(self, context: Context, loop: asyncio.AbstractEventLoop) -> None:
        self._context = context
        self._loop = loop
        self.abandoned = False

    @property
    def task_id(self) -> TaskId:
        """The task."""
        return self._context.task_id

    @property
    def attempt(self) -> int:
        """1 for the first."""
        return self._context.attempt

    @property
    def requester(self) -> Actor:
        """Who asked."""
        return self._context.requester

    @property
    def traceparent(self) -> str | None:
        """The trace that came with the task."""
        return self._context.traceparent

    @property
    def log(self) -> HandlerLog:
        """Lines that carry the run's ids."""
        return self._context.log

    def progress(self, current: int, total: int, message: str = "") -> None:
        """Hand it over to the event loop; one that was abandoned has nobody to tell."""
        if not self.abandoned:
            asyncio.run_coroutine_threadsafe(self._show(current, total, message), self._loop)

    async def _show(self, current: int, total: int, message: str) -> None:
        await self._context.progress(current, total, message)


# To find out takes longer than all the rest of a call.
_known: WeakKeyDictionary[type[AnyHandler], bool] = WeakKeyDictionary()


def _is_async(handler: type[AnyHandler]) -> bool:
    known = _known.get(handler)
    if known is None:
        known = _known[handler] = iscoroutinefunction(handler.__call__)
    return known


async def called(handler: AnyHandler, payload: object, context: Context, threads: Threads) -> object:
    """Call a handler: an `async` one is awaited, a plain one has a thread."""
    if _is_async(type(handler)):
        return await cast("Handler[Any, Any]", handler)(payload, context)
    blocking = cast("SyncHandler[Any, Any]", handler)
    inside = FromThread(context, asyncio.get_running_loop())
    try:
        return await threads.run(lambda: blocking(payload, inside))
    finally:
        inside.abandoned = True
