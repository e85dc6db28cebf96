"""Handlers that block: beside the event loop, abandoned when nobody waits any more, and never too many."""

import asyncio
import contextvars
import threading

import pytest

from parlor.adapters.threads import DaemonThreads
from parlor.core.shared.errors import Busy
from parlor.core.shared.handling import Fail, ThreadContext
from parlor.core.tasks.model import Attempt, Failed, Postponed, Succeeded
from parlor.core.tasks.running import RunAttempt
from parlor.core.tasks.synchronous import FromThread
from tests.builders import an_attempt
from tests.fakes.handling import FakeContext
from tests.fakes.tasks import Block, BlockingNoteHandler, Echo, Note, kinds_that
from tests.waiting import eventually


def runner(block: Block) -> RunAttempt:
    return RunAttempt(kinds_that(more=[BlockingNoteHandler(block)]), DaemonThreads(2), lambda: 0.5)


def an_attempt_at_it(**fields: object) -> Attempt:
    return an_attempt(kind="blocking_note", **fields)


class Gate:
    """Blocks whoever comes until it is opened."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.inside = 0
        self.contexts: list[ThreadContext] = []

    def __call__(self, _payload: Note, context: ThreadContext) -> Echo:
        self.inside += 1
        self.contexts.append(context)
        self.open.wait(30)
        return Echo("late")


async def test_it_runs_beside_the_event_loop_and_answers() -> None:
    threads: list[threading.Thread] = []

    def block(payload: Note, _context: ThreadContext) -> Echo:
        threads.append(threading.current_thread())
        return Echo(payload.text)

    ending = await runner(block)(an_attempt_at_it(payload={"text": "hi"}), FakeContext())
    assert isinstance(ending, Succeeded)
    assert ending.result == '{"text":"hi"}'
    assert threads[0] is not threading.main_thread()
    assert threads[0].daemon


async def test_its_context_tells_of_the_run_and_shows_progress() -> None:
    context = FakeContext(attempt=3, traceparent="00-1")
    seen: list[object] = []

    def block(_payload: Note, inside: ThreadContext) -> Echo:
        seen.extend([inside.task_id, inside.attempt, inside.requester, inside.log, inside.abandoned])
        seen.append(inside.traceparent)
        inside.progress(1, 2, "half")
        return Echo("")

    await runner(block)(an_attempt_at_it(), context)
    assert seen == [context.task_id, 3, context.requester, context.log, False, "00-1"]
    await eventually(lambda: context.shown == [(1, 2, "half")])


async def test_what_it_raises_ends_the_attempt_like_any_other() -> None:
    def fail(_payload: Note, _context: ThreadContext) -> Echo:
        raise Fail("no_paper", "There is no paper.")

    ending = await runner(fail)(an_attempt_at_it(), FakeContext())
    assert isinstance(ending, Failed)
    assert ending.error.code == "no_paper"


@pytest.mark.parametrize("error", [StopIteration, SystemExit, KeyboardInterrupt])
async def test_nothing_that_it_raises_ends_the_worker(error: type[BaseException]) -> None:
    def end(_payload: Note, _context: ThreadContext) -> Echo:
        raise error

    ending = await runner(end)(an_attempt_at_it(), FakeContext())
    assert isinstance(ending, Postponed)
    assert ending.error.code == "handler_error"


async def test_at_its_timeout_it_is_abandoned_and_told_so() -> None:
    gate, context = Gate(), FakeContext()
    running = asyncio.create_task(runner(gate)(an_attempt_at_it(timeout_s=0.05), context))
    await eventually(lambda: gate.inside == 1)
    ending = await running
    assert isinstance(ending, Postponed)
    assert ending.error.code == "timeout"
    assert gate.contexts[0].abandoned
    gate.contexts[0].progress(1, 2)
    gate.open.set()
    assert context.shown == []


async def test_a_thread_that_was_left_to_itself_does_not_take_anothers_place() -> None:
    threads, gate, inside = DaemonThreads(1), Gate(), FromThread(FakeContext(), asyncio.get_running_loop())
    left = asyncio.create_task(threads.run(lambda: gate(Note(), inside)))
    await eventually(lambda: gate.inside == 1)
    left.cancel()
    with pytest.raises(asyncio.CancelledError):
        await left
    with pytest.raises(Busy):
        await threads.run(lambda: None)
    gate.open.set()
    await eventually(lambda: threads._left == 0)
    assert await threads.run(lambda: 7) == 7


async def test_no_more_run_at_once_than_there_are_places() -> None:
    threads, gate, inside = DaemonThreads(2), Gate(), FromThread(FakeContext(), asyncio.get_running_loop())
    calls = [asyncio.create_task(threads.run(lambda: gate(Note(), inside))) for _ in range(5)]
    await eventually(lambda: gate.inside == 2)
    gate.open.set()
    await asyncio.gather(*calls)
    assert gate.inside == 5


async def test_a_thread_sees_the_context_variables_of_its_caller() -> None:
    variable = contextvars.ContextVar("variable", default="")
    variable.set("mine")
    assert await DaemonThreads(1).run(variable.get) == "mine"
