"""Spans as the core uses them: what they hang on, and how they say that something ended."""

import asyncio
from contextlib import nullcontext

import pytest

from parlor.adapters.observed import observed
from parlor.core.shared.errors import Busy, NotFound
from parlor.core.shared.spans import SpanKind, within_span
from parlor.core.shared.tracing import current_trace, within_trace
from tests.builders import an_actor
from tests.traces import Recorder, ids, parent, traceparent

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNRECORDED = TRACE[:-1] + "0"


def test_a_span_hangs_on_the_present_trace_and_is_the_present_one_inside() -> None:
    recorder = Recorder()
    with within_trace(TRACE):
        with within_span(recorder.tracer, "outer", SpanKind.INTERNAL) as outer:
            assert current_trace() == outer.traceparent
            with within_span(recorder.tracer, "inner", SpanKind.CLIENT):
                pass
        assert current_trace() == TRACE
    first, second = recorder.one("outer"), recorder.one("inner")
    assert (ids(first)[0], parent(first)) == ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
    assert parent(second) == ids(first)[1]
    assert outer.traceparent == traceparent(first)
    assert first.kind.name == "INTERNAL"


def test_a_span_of_its_own_trace_may_name_another() -> None:
    recorder = Recorder()
    with within_trace(TRACE), within_span(recorder.tracer, "alone", SpanKind.SERVER, root=True, link=TRACE):
        pass
    alone = recorder.one("alone")
    assert alone.parent is None
    assert ids(alone)[0] not in TRACE
    assert [f"{link.context.span_id:016x}" for link in alone.links] == ["b7ad6b7169203331"]


@pytest.mark.parametrize("sampler", ["parentbased_always_on", "parentbased_traceidratio"])
def test_what_the_caller_does_not_record_is_not_recorded_here(sampler: str) -> None:
    recorder = Recorder(sampler)
    with (
        within_trace(UNRECORDED),
        within_span(recorder.tracer, "outer", SpanKind.SERVER) as outer,
        within_span(recorder.tracer, "inner", SpanKind.INTERNAL) as inner,
    ):
        pass
    assert recorder.spans == ()
    for span in (outer, inner):
        assert span.traceparent.startswith("00-0af7651916cd43dd8448eb211c80319c-")
        assert span.traceparent.endswith("-00")
        assert span.traceparent != UNRECORDED


@pytest.mark.parametrize(
    ("sampler", "begun", "followed"),
    [
        ("always_on", 1, 1),
        ("always_off", 0, 0),
        ("traceidratio", 0, 0),
        ("parentbased_always_on", 1, 1),
        ("parentbased_always_off", 0, 1),
        ("parentbased_traceidratio", 0, 1),
    ],
)
def test_samplers_are_those_of_the_specification(sampler: str, begun: int, followed: int) -> None:
    """The share is none here: nothing that begins is recorded, but what a caller records may be."""
    recorder = Recorder(sampler)
    recorder.tracer.begin("begun", SpanKind.SERVER, parent=None).end()
    recorder.tracer.begin("followed", SpanKind.SERVER, parent=TRACE).end()
    names = [span.name for span in recorder.spans]
    assert (names.count("begun"), names.count("followed")) == (begun, followed)


@pytest.mark.parametrize(
    ("raised", "outcome", "failure"),
    [
        (None, "ok", None),
        (NotFound("of somebody secret"), "not_found", None),
        (Busy(), "busy", "busy"),
        (ValueError("a secret"), "error", "ValueError"),
        (asyncio.CancelledError(), "cancelled", None),
    ],
    ids=str,
)
async def test_a_use_case_is_a_span_that_says_who_and_how_it_ended(
    raised: BaseException | None, outcome: str, failure: str | None
) -> None:
    """A refusal is no failure, and what an error says is not told: it may hold anything."""
    recorder, actor, seen = Recorder(), an_actor(), list[str | None]()

    async def act(_: object) -> None:
        await asyncio.sleep(0)
        seen.append(current_trace())
        if raised is not None:
            raise raised

    expected = nullcontext() if raised is None else pytest.raises(type(raised))
    with within_trace(TRACE), expected:
        await observed("Act", act, tracer=recorder.tracer)(actor)
    span = recorder.one("Act")
    assert seen == [traceparent(span)]
    told = dict(span.attributes or {})
    assert told.pop("error.type", None) == failure
    assert told == {"parlor.outcome": outcome, "parlor.actor": f"user:{actor.id}"}
    assert span.status.is_ok is (failure is None)
    assert (span.events, span.status.description) == ((), None)


def test_a_span_may_have_begun_a_while_ago() -> None:
    recorder = Recorder()
    recorder.tracer.begin("select", SpanKind.CLIENT, parent=None, ago_s=2.0).end()
    span = recorder.one("select")
    assert span.end_time is not None
    assert span.start_time is not None
    assert 1.9e9 < span.end_time - span.start_time < 60e9
