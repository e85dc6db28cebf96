"""RunAttempt: whatever a handler does, its attempt comes to an end with a code."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import NoReturn

import pytest
from hypothesis import given, strategies as st

from parlor.adapters.threads import DaemonThreads
from parlor.core.shared.errors import Busy, Conflict, Forbidden, Invalid, NotFound, ParlorError, TooMany
from parlor.core.shared.handling import Context, Fail, Retry
from parlor.core.tasks.model import MAX_RESULT_BYTES, Attempt, Ending, Failed, Postponed, Succeeded
from parlor.core.tasks.running import LONGEST_CODE, LONGEST_DELAY_S, LONGEST_MESSAGE, RunAttempt
from tests.builders import an_attempt
from tests.fakes.handling import FakeContext
from tests.fakes.tasks import Act, Echo, Note, echo, kinds_that


def runner(act: Act = echo, jitter: Callable[[], float] = lambda: 0.5) -> RunAttempt:
    return RunAttempt(kinds_that(act), DaemonThreads(2), jitter)


def raising(error: BaseException) -> Act:
    async def act(_payload: Note, _context: Context) -> NoReturn:
        raise error

    return act


def answering(answer: object) -> Act:
    async def act(_payload: Note, _context: Context) -> object:
        return answer

    return act


async def run(act: Act = echo, attempt: Attempt | None = None) -> Ending:
    return await runner(act)(attempt or an_attempt(), FakeContext())


async def failure(act: Act, attempt: Attempt | None = None) -> tuple[type[Ending], str, bool]:
    ending = await run(act, attempt)
    assert not isinstance(ending, Succeeded)
    return type(ending), ending.error.code, ending.error.retryable


async def test_a_result_is_written_as_json() -> None:
    attempt = an_attempt(payload={"text": "hi"}, fence=7)
    assert await run(attempt=attempt) == Succeeded(attempt.task_id, 7, '{"text":"hi"}')


async def test_a_handler_gets_its_secrets_and_its_context() -> None:
    seen: list[object] = []

    async def act(payload: Note, context: Context) -> Echo:
        seen.extend([payload, context])
        return Echo("")

    context = FakeContext()
    await runner(act)(an_attempt(payload={"text": "hi", "password": "s"}), context)
    assert seen == [Note("hi", "s"), context]


async def test_retry_tries_again() -> None:
    ending = await run(raising(Retry("http_status", "It was 503.")))
    assert isinstance(ending, Postponed)
    assert (ending.error.code, ending.error.message) == ("http_status", "It was 503.")
    assert ending.error.retryable


async def test_retry_may_say_when() -> None:
    ending = await run(raising(Retry("busy", "Later.", after=timedelta(minutes=7))))
    assert isinstance(ending, Postponed)
    assert ending.delay == timedelta(minutes=7)


async def test_retry_at_the_last_attempt_is_the_error() -> None:
    last = an_attempt(attempt=3, max_attempts=3)
    assert await failure(raising(Retry("http_status", "It was 503.")), last) == (Failed, "http_status", True)


async def test_fail_ends_at_once() -> None:
    assert await failure(raising(Fail("blocked", "No."))) == (Failed, "blocked", False)


@pytest.mark.parametrize("error", [Invalid(), Forbidden(), NotFound(), Conflict()])
async def test_what_another_attempt_would_not_mend_ends_at_once(error: ParlorError) -> None:
    assert await failure(raising(error)) == (Failed, error.code, False)


@pytest.mark.parametrize("error", [Busy(), TooMany()])
async def test_what_passes_by_itself_is_tried_again(error: ParlorError) -> None:
    assert await failure(raising(error)) == (Postponed, error.code, True)


async def test_any_other_exception_is_tried_again_and_keeps_its_words_to_itself() -> None:
    ending = await run(raising(RuntimeError("the password is s3cret")))
    assert isinstance(ending, Postponed)
    assert ending.error.code == "handler_error"
    assert "s3cret" not in ending.error.message


async def test_any_other_exception_is_logged() -> None:
    context, error = FakeContext(), RuntimeError("broken")
    await runner(raising(error))(an_attempt(), context)
    assert context.log.lines == [("warning", "handler_raised", {"error": "RuntimeError", "exc_info": error})]


async def test_an_exception_at_the_last_attempt_ends_the_task() -> None:
    last = an_attempt(attempt=1, max_attempts=1)
    assert await failure(raising(RuntimeError()), last) == (Failed, "handler_error", True)


async def test_a_handler_that_takes_too_long_is_cancelled_and_tried_again() -> None:
    cancelled = asyncio.Event()

    async def act(_payload: Note, _context: Context) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    assert await failure(act, an_attempt(timeout_s=0)) == (Postponed, "timeout", True)
    assert cancelled.is_set()


async def test_a_timeout_of_the_handlers_own_is_not_the_attempts() -> None:
    """`TimeoutError` from a socket, say, long before the attempt's time is over."""
    assert await failure(raising(TimeoutError())) == (Postponed, "handler_error", True)


async def test_a_handler_that_complains_of_being_cancelled_has_taken_too_long() -> None:
    async def act(_payload: Note, _context: Context) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as error:
            raise RuntimeError from error

    assert await failure(act, an_attempt(timeout_s=0)) == (Postponed, "timeout", True)


async def test_a_cancellation_from_outside_passes_through() -> None:
    """A lost lease or a shutdown decides then."""
    begun = asyncio.Event()

    async def act(_payload: Note, _context: Context) -> None:
        begun.set()
        await asyncio.Event().wait()

    job = asyncio.create_task(run(act))
    await begun.wait()
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job


@pytest.mark.parametrize("answer", [Echo("x" * MAX_RESULT_BYTES), Echo("é" * (MAX_RESULT_BYTES // 2))])
async def test_a_result_that_is_too_large_is_not_stored(answer: Echo) -> None:
    """It is counted in bytes."""
    assert await failure(answering(answer)) == (Failed, "result_too_large", False)


async def test_a_result_at_the_limit_is_stored() -> None:
    ending = await run(answering(Echo("x" * (MAX_RESULT_BYTES - len('{"text":""}')))))
    assert isinstance(ending, Succeeded)
    assert len(ending.result) == MAX_RESULT_BYTES


@pytest.mark.parametrize("answer", [Echo("\0"), Echo("\ud800"), object()])
async def test_a_result_that_is_not_what_its_kind_declares_is_not_stored(answer: object) -> None:
    assert await failure(answering(answer)) == (Failed, "invalid_result", False)


async def test_a_kind_that_nobody_knows_any_more_ends_the_task() -> None:
    assert await failure(echo, an_attempt(kind="gone")) == (Failed, "unknown_kind", False)


async def test_a_stored_payload_that_the_kind_takes_no_more_ends_the_task() -> None:
    assert await failure(echo, an_attempt(payload={"old": 1})) == (Failed, "invalid_payload", False)


async def test_an_error_is_cut_to_what_can_be_stored() -> None:
    ending = await run(raising(Fail("c" * 200, "\0 half \ud800 " + "m" * 2000)))
    assert isinstance(ending, Failed)
    assert len(ending.error.code) == LONGEST_CODE
    assert len(ending.error.message) == LONGEST_MESSAGE
    assert ending.error.message.startswith(" half ? mmm")


@given(attempt=st.integers(1, 100), jitter=st.floats(0, 1, exclude_max=True))
def test_the_backoff_is_full_jitter_under_a_doubling_bound(attempt: int, jitter: float) -> None:
    ending = runner(jitter=lambda: jitter).again(an_attempt(attempt=attempt, max_attempts=101), "c", "m")
    assert isinstance(ending, Postponed)
    assert timedelta(0) <= ending.delay <= timedelta(seconds=min(2 ** (attempt - 1), LONGEST_DELAY_S))


@pytest.mark.parametrize(("attempt", "longest"), [(1, 1), (2, 2), (3, 4), (10, 512), (11, 600), (100, 600)])
def test_the_bound_of_the_backoff_doubles_up_to_ten_minutes(attempt: int, longest: float) -> None:
    ending = runner(jitter=lambda: 1.0).again(an_attempt(attempt=attempt, max_attempts=101), "c", "m")
    assert isinstance(ending, Postponed)
    assert ending.delay == timedelta(seconds=longest)
