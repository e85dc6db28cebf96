"""What is told of attempts: a line each, and a span where traces are exported."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from structlog.testing import capture_logs

from parlor.core.shared.bus import Delivery
from parlor.core.shared.handling import Context, Fail, Retry
from parlor.core.shared.ids import TaskId, uuid7
from parlor.core.shared.tracing import current_trace, trace_id
from parlor.core.tasks.schedules_firing import Fired
from parlor.entrypoints.consume_worker.attempts import Attempts
from parlor.entrypoints.consume_worker.timers import in_traces
from tests.builders import a_task, an_attempt
from tests.fakes.tasks import Act, Echo, Note, echo
from tests.traces import Recorder, ids, parent, traceparent
from tests.unit.consume_worker.test_runner import Gate, Worker, a_foreign_delivery
from tests.waiting import eventually

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SENT = "00-0af7651916cd43dd8448eb211c80319c-1111111111111111-01"


@asynccontextmanager
async def a_worker(act: Act = echo, recorder: Recorder | None = None) -> AsyncIterator[Worker]:
    tracer = None if recorder is None else recorder.tracer
    worker = Worker(act, attempts=Attempts(tracer, "party.tasks"))
    worker.runner.start()
    try:
        yield worker
    finally:
        await worker.runner.stop(drain_s=0)


async def ending_in(act: Act, **fields: object) -> dict[str, Any]:
    """Run a task, and give its line."""
    with capture_logs() as lines:
        async with a_worker(act) as worker:
            worker.deliver(**fields)
            await eventually(lambda: any(line["event"] == "attempt" for line in lines))
    (line,) = [dict(line) for line in lines if line["event"] == "attempt"]
    return line


async def fail(_payload: Note, _context: Context) -> Echo:
    raise Fail("no_such_song", "a secret")


async def retry(_payload: Note, _context: Context) -> Echo:
    raise Retry("out_of_tune", "a secret")


async def test_an_attempt_is_a_line_with_who_asked_how_it_ended_and_how_long_it_took() -> None:
    line = await ending_in(echo, task_id=TaskId(UUID(int=7)), attempt=2)
    assert line.pop("duration_ms") >= 0
    assert line.pop("actor").startswith("user:")
    assert line == {
        "event": "attempt",
        "log_level": "info",
        "task_id": str(UUID(int=7)),
        "kind": "note",
        "attempt": 2,
        "outcome": "succeeded",
    }


async def test_an_attempt_that_did_not_succeed_says_why_by_its_code() -> None:
    failed, postponed = await ending_in(fail), await ending_in(retry)
    last = await ending_in(retry, attempt=5)
    said = [(line["outcome"], line["code"]) for line in (failed, postponed, last)]
    assert said == [("failed", "no_such_song"), ("postponed", "out_of_tune"), ("failed", "out_of_tune")]
    assert "secret" not in str([failed, postponed])


async def test_an_attempt_that_a_shutdown_ends_is_let_go() -> None:
    gate, recorder = Gate(), Recorder()
    with capture_logs() as lines:
        async with a_worker(gate, recorder) as worker:
            worker.deliver()
            await gate.entered.wait()
    assert [line["outcome"] for line in lines if line["event"] == "attempt"] == ["let_go"]
    span = recorder.one("process note")
    assert (span.attributes or {})["parlor.outcome"] == "let_go"
    assert span.status.is_ok


async def test_a_run_is_within_its_attempt_s_span() -> None:
    recorder, seen = Recorder(), list[tuple[str | None, str | None]]()

    async def look(payload: Note, context: Context) -> Echo:
        seen.append((context.traceparent, current_trace()))
        return Echo(payload.text)

    async with a_worker(look, recorder) as worker:
        task_id = worker.deliver(traceparent=TRACE)
        await eventually(worker.settled(task_id))
    span = recorder.one("process note")
    assert (parent(span), seen) == ("b7ad6b7169203331", [(traceparent(span), traceparent(span))])


def test_an_attempt_hangs_on_the_message_that_said_it_is_due_else_on_its_task() -> None:
    """Without traces it stays in the one that its task came with, as what it tells does."""
    attempt = an_attempt(traceparent=TRACE)
    due = Delivery(str(attempt.task_id), b"{}", "default", {"x-parlor-row": 1, "traceparent": SENT})
    attempts = Attempts(Recorder().tracer)
    assert attempts.parent(attempt, due) == SENT
    assert attempts.parent(attempt, None) == TRACE
    assert attempts.parent(attempt, due._replace(headers={"traceparent": "nonsense"})) == TRACE
    assert Attempts().parent(attempt, due) == TRACE


async def test_a_foreign_order_without_a_trace_begins_one_that_its_attempts_are_in() -> None:
    recorder, task_id = Recorder(), TaskId(uuid7())
    async with a_worker(echo, recorder) as worker:
        worker.inbox.put(a_foreign_delivery(task_id))
        await eventually(worker.settled(task_id))
    received, run = recorder.one("receive party.tasks"), recorder.one("process note")
    assert (received.parent, parent(run)) == (None, ids(received)[1])
    assert dict(run.attributes or {}) == {
        "messaging.system": "rabbitmq",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "party.tasks.default",
        "messaging.message.id": str(task_id),
        "parlor.task.kind": "note",
        "parlor.task.attempt": 1,
        "parlor.outcome": "succeeded",
    }


async def test_an_attempt_that_failed_is_a_span_that_failed() -> None:
    recorder = Recorder()
    async with a_worker(fail, recorder) as worker:
        task_id = worker.deliver()
        await eventually(worker.settled(task_id))
    span = recorder.one("process note")
    assert ((span.attributes or {})["error.type"], span.status.is_ok) == ("no_such_song", False)


async def test_a_round_of_schedules_is_a_trace_if_it_did_something() -> None:
    recorder, seen = Recorder(), list[str | None]()
    rounds = [Fired(), Fired(tasks=[a_task()])]

    async def fire(*, limit: int) -> Fired:
        await asyncio.sleep(0)
        seen.append(current_trace())
        return rounds[limit]

    traced = in_traces(fire, recorder.tracer)
    await traced(limit=0)
    assert recorder.spans == ()
    await traced(limit=1)
    assert trace_id(seen[1] or "") == ids(recorder.one("FireSchedules"))[0]
    assert current_trace() is None
