"""Finished lines, and the others: the same fields, each in one line of JSON."""

import json
from collections.abc import Iterator
from uuid import UUID

import orjson
import pytest
import structlog
from structlog.testing import capture_logs

from parlor.core.shared.actor import SYSTEM, Actor, ActorKind
from parlor.core.shared.tracing import within_trace
from parlor.entrypoints import logs
from parlor.lines import DEBUG, named, present_request, takes_finished_lines, tell

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def written() -> Iterator[list[bytes]]:
    lines: list[bytes] = []
    takes_finished_lines(lines.append)
    yield lines
    takes_finished_lines(None)


def test_a_line_says_when_and_in_which_request_and_trace(written: list[bytes]) -> None:
    request = present_request.set("r1")
    with within_trace(TRACE):
        tell({"event": "request", "status": 200})
    present_request.reset(request)
    line = orjson.loads(written[0])
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "request",
        "status": 200,
        "request_id": "r1",
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "level": "info",
    }


def test_a_line_outside_of_requests_has_neither(written: list[bytes]) -> None:
    tell({"event": "use_case"})
    assert orjson.loads(written[0]).keys() == {"event", "level", "timestamp"}


def test_what_is_below_the_level_is_not_written(written: list[bytes]) -> None:
    tell({"event": "request"}, level=DEBUG)
    takes_finished_lines(written.append, least=DEBUG)
    tell({"event": "request"}, level=DEBUG)
    assert [orjson.loads(line)["level"] for line in written] == ["debug"]


def test_in_a_terminal_it_takes_the_way_of_all_other_lines() -> None:
    with capture_logs() as lines:
        tell({"event": "request", "status": 200})
    assert lines == [{"event": "request", "status": 200, "log_level": "info"}]


def test_actors_have_names() -> None:
    assert named(Actor(ActorKind.USER, UUID(int=1))) == f"user:{UUID(int=1)}"
    assert named(SYSTEM) == "system:None"


def as_written(line: object) -> bytes:
    for step in logs._rendering(terminal=False):
        line = step(None, "info", line)
    assert isinstance(line, bytes)
    return line


@pytest.mark.parametrize("end", ["\n", "\r", "\x0b", "\x85", "\u2028", "\u2029", "\x1b[2K"])
def test_nothing_that_is_logged_begins_a_line_of_its_own(end: str) -> None:
    line: dict[str, object] = {
        "event": f"a{end}b",
        "field": f'"{end}{{"event": "forged"}}',
        f"key{end}": {"deep": [end]},
    }
    rendered = as_written(line)
    assert len(rendered.decode().splitlines()) == 1
    assert b"\x1b" not in rendered
    assert orjson.loads(rendered) == line


@pytest.mark.parametrize("field", ["\ud800", {1: "one"}, {(1, 2): "a pair"}], ids=["half", "number", "pair"])
def test_to_log_never_fails(field: object) -> None:
    assert json.loads(as_written({"event": "drawn", "field": field}))["event"] == "drawn"


def test_a_line_of_the_chain_knows_its_request_too() -> None:
    request = present_request.set("r1")
    assert logs.with_request(None, "info", {"event": "drawn"}) == {"event": "drawn", "request_id": "r1"}
    present_request.reset(request)
    assert logs.with_request(None, "info", {"event": "drawn"}) == {"event": "drawn"}
    assert structlog.contextvars.get_contextvars() == {}
