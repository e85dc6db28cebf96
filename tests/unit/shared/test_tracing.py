"""The trace that the present work belongs to, and what goes on to others."""

import asyncio
import re

import pytest

from parlor.core.shared.tracing import current_trace, of_trace, onward, trace_id, well_formed, within_trace
from parlor.entrypoints.logs import with_trace

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        "nonsense",
        TRACE.upper(),
        f"{TRACE}-more",
        f"{TRACE}\n",
        TRACE.replace("00-", "ff-", 1),
        f"00-{'0' * 32}-{'1' * 16}-01",
        f"00-{'1' * 32}-{'0' * 16}-01",
    ],
)
def test_what_is_no_trace_is_none(given: str | None) -> None:
    assert well_formed(given) is None


def test_a_trace_is_taken_as_it_came() -> None:
    assert well_formed(TRACE) == TRACE


def test_a_call_onward_is_in_the_same_trace_under_another_parent() -> None:
    one, other = onward(TRACE), onward(TRACE)
    assert well_formed(one) == one
    assert one.startswith("00-0af7651916cd43dd8448eb211c80319c-")
    assert one.endswith("-01")
    assert len({TRACE, one, other}) == 3


def test_work_belongs_to_the_innermost_trace() -> None:
    assert current_trace() is None
    with within_trace(TRACE):
        assert current_trace() == TRACE
        with within_trace(None):
            assert current_trace() is None
        assert current_trace() == TRACE
    assert current_trace() is None


async def test_a_task_of_another_trace_leaves_the_starters_alone() -> None:
    async def look() -> str | None:
        return current_trace()

    other = onward(TRACE)
    with within_trace(TRACE):
        assert await asyncio.create_task(look(), context=of_trace(other)) == other
        assert await asyncio.create_task(look(), context=of_trace(None)) is None
        assert current_trace() == TRACE


def test_lines_carry_the_id_of_their_trace() -> None:
    with within_trace(TRACE):
        line = with_trace(None, "info", {"event": "drawn"})
    assert line == {"event": "drawn", "trace_id": trace_id(TRACE)}
    assert re.fullmatch("[0-9a-f]{32}", trace_id(TRACE))
    assert with_trace(None, "info", {"event": "drawn"}) == {"event": "drawn"}
