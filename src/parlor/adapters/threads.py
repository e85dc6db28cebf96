"""Threads for code that blocks. The standard library's pool would wait, at the process's end, for one that hangs."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from typing import Any, TypeVar

from parlor.core.shared.errors import Busy

AnswerT = TypeVar("AnswerT")


class DaemonThreads:
    """Port `Threads`: at most `most` calls that are waited for, and as many that were left to themselves.

    Each call has a new thread, which dies with the process.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._places = asyncio.Semaphore(most)
        self._left = 0

    async def run(self, call: Callable[[], AnswerT]) -> AnswerT:
        """Call it in a thread, once there is a place."""
        async with self._places:
            if self._left >= self._most:
                raise Busy("Too many threads of earlier attempts still run.")
            answer = _started(call)
            try:
                return await asyncio.shield(answer)
            except asyncio.CancelledError:
                self._leave(answer)
                raise

    def _leave(self, answer: asyncio.Future[Any]) -> None:
        self._left += 1
        answer.add_done_callback(self._returned)

    def _returned(self, answer: asyncio.Future[Any]) -> None:
        self._left -= 1
        answer.exception()  # seen, or asyncio complains about it


def _started(call: Callable[[], AnswerT]) -> asyncio.Future[AnswerT]:
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[AnswerT] = loop.create_future()

    def answering() -> None:
        try:
            result = call()
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is the caller's
            _tell(loop, answer.set_exception, _raisable(error))
        else:
            _tell(loop, answer.set_result, result)

    threading.Thread(target=copy_context().run, args=(answering,), name="handler", daemon=True).start()
    return answer


def _tell(loop: asyncio.AbstractEventLoop, say: Callable[[Any], None], what: object) -> None:
    with suppress(RuntimeError):  # the loop has ended, and the process with it
        loop.call_soon_threadsafe(say, what)


def _raisable(error: BaseException) -> Exception:
    """Stand in for what a future cannot hold, and for what would end the event loop."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    return RuntimeError(repr(error))
