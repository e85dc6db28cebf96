"""One attempt: the handler is called under its timeout, and whatever happens becomes an ending with a code."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from parlor.core.shared.errors import Conflict, Forbidden, Invalid, NotFound, ParlorError
from parlor.core.shared.handling import Context, Fail, Retry
from parlor.core.tasks.kinds import Kinds
from parlor.core.tasks.model import MAX_RESULT_BYTES, Attempt, Ending, Failed, Postponed, Succeeded, TaskError
from parlor.core.tasks.ports import Threads
from parlor.core.tasks.synchronous import called

FIRST_DELAY_S = 1.0
LONGEST_DELAY_S = 600.0
LONGEST_CODE = 64
LONGEST_MESSAGE = 1000
FINAL_KINDS = (Invalid, Forbidden, NotFound, Conflict)


@dataclass(frozen=True, slots=True)
class RunAttempt:
    """Runs a claimed attempt, and answers how it ended, whatever the handler raised.

    A cancellation alone passes through: whoever cancelled (a lost lease, a cancelled task, a shutdown) has decided.
    """

    kinds: Kinds
    threads: Threads
    jitter: Callable[[], float]

    async def __call__(self, attempt: Attempt, context: Context) -> Ending:  # noqa: PLR0911 - one answer for each way to end
        limit = asyncio.timeout(attempt.timeout_s)
        try:
            async with limit:
                return await self._handle(attempt, context)
        except Retry as retry:
            return self.again(attempt, retry.code, retry.message, after=retry.after)
        except Fail as fail:
            return _failed(attempt, fail.code, fail.message)
        except FINAL_KINDS as error:
            return _failed(attempt, error.code, error.detail)
        except ParlorError as error:
            return self.again(attempt, error.code, error.detail)
        except Exception as error:
            if limit.expired():
                return self.again(attempt, "timeout", f"The attempt took longer than {attempt.timeout_s} s.")
            context.log.warning("handler_raised", error=type(error).__name__, exc_info=error)
            return self.again(attempt, "handler_error", f"The handler raised {type(error).__name__}.")

    async def _handle(self, attempt: Attempt, context: Context) -> Ending:
        handler = self.kinds.handler(attempt.kind)
        payload = self.kinds.payloads.build(attempt.kind, attempt.payload)
        result = await called(handler, payload, context, self.threads)
        try:
            written = self.kinds.payloads.result_json(attempt.kind, result)
        except ValueError:
            return _failed(attempt, "invalid_result", "The handler's result is not what its kind declares.")
        if len(written.encode()) > MAX_RESULT_BYTES:
            return _failed(attempt, "result_too_large", f"The result is over {MAX_RESULT_BYTES} bytes.")
        return Succeeded(attempt.task_id, attempt.fence, written)

    def again(self, attempt: Attempt, code: str, message: str, *, after: timedelta | None = None) -> Ending:
        """End this attempt with an error that another one may mend, if one is left."""
        error = _error(code, message, retryable=True)
        if attempt.attempt >= attempt.max_attempts:
            return Failed(attempt.task_id, attempt.fence, error)
        delay = after if after is not None else self._backoff(attempt.attempt)
        return Postponed(attempt.task_id, attempt.fence, error, delay)

    def _backoff(self, attempt: int) -> timedelta:
        """Full jitter over an exponential bound: spreads what failed together (1 s, 2 s, 4 s ... 10 min)."""
        bound = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2 ** min(attempt - 1, 30))
        return timedelta(seconds=bound * self.jitter())


def _failed(attempt: Attempt, code: str, message: str) -> Failed:
    return Failed(attempt.task_id, attempt.fence, _error(code, message, retryable=False))


def _error(code: str, message: str, *, retryable: bool) -> TaskError:
    """Keep what can be stored: a handler's words may hold anything."""
    storable = message.replace("\0", "").encode(errors="replace").decode()
    return TaskError(code=code[:LONGEST_CODE], message=storable[:LONGEST_MESSAGE], retryable=retryable)
