"""Requests as spans: what they are called, what they say, and what they never say."""

from collections.abc import AsyncIterator

import pytest
from httpx import ASGITransport, AsyncClient
from structlog.testing import capture_logs

from parlor.core.identity.use_cases import LogIn
from parlor.core.shared.errors import Conflict
from parlor.core.shared.tracing import current_trace
from parlor.entrypoints.http.app import make_app
from tests.fakes.container import SIGNED_IN, FakeContainer, as_container
from tests.traces import Recorder, ids, parent, traceparent

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
LOGIN = {"email": "ada@example.org", "password": "correct horse"}


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
async def traced(fake: FakeContainer, recorder: Recorder) -> AsyncIterator[AsyncClient]:
    fake.tracer = recorder.tracer
    transport = ASGITransport(make_app(as_container(fake)))
    async with AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


async def test_a_request_is_a_span_under_its_caller_s(
    traced: AsyncClient, fake: FakeContainer, recorder: Recorder
) -> None:
    """What follows from it hangs on the span, and its line in the log has the trace's id."""
    seen: list[str | None] = []

    async def log_in(**_: object) -> None:
        seen.append(current_trace())
        raise Conflict

    fake.commands[LogIn] = log_in
    headers = {"traceparent": TRACE, "x-request-id": "r1"}
    with capture_logs() as lines:
        await traced.post("/api/v1/auth/login?ticket=secret", json=LOGIN, headers=headers)
    span = recorder.one("POST /api/v1/auth/login")
    assert (parent(span), span.kind.name, seen) == ("b7ad6b7169203331", "SERVER", [traceparent(span)])
    assert dict(span.attributes or {}) == {
        "http.request.method": "POST",
        "url.scheme": "http",
        "http.route": "/api/v1/auth/login",
        "http.response.status_code": 409,
        "parlor.request_id": "r1",
        "parlor.outcome": "conflict",
    }
    assert [line["trace_id"] for line in lines] == [ids(span)[0]]
    assert current_trace() is None


async def test_who_asked_is_told_by_their_id(
    traced: AsyncClient, fake: FakeContainer, recorder: Recorder
) -> None:
    await traced.get("/api/v1/users/me", headers=SIGNED_IN)
    span = recorder.one("GET /api/v1/users/me")
    assert (span.attributes or {})["parlor.actor"] == f"user:{fake.authenticate.principal.actor.id}"
    assert span.parent is None


async def test_an_error_of_ours_is_a_failure_and_one_of_theirs_is_none(
    traced: AsyncClient, fake: FakeContainer, recorder: Recorder
) -> None:
    async def log_in(**_: object) -> None:
        raise ZeroDivisionError("a secret")

    fake.commands[LogIn] = log_in
    await traced.post("/api/v1/auth/login", json=LOGIN)
    await traced.get("/secret/path?secret=1")
    broken, unknown = recorder.spans
    assert ((broken.attributes or {})["error.type"], broken.status.is_ok) == ("internal_error", False)
    assert (unknown.name, (unknown.attributes or {})["http.response.status_code"]) == ("GET", 404)
    assert unknown.status.is_ok
    assert "secret" not in "".join(span.to_json() for span in recorder.spans)


async def test_probes_are_no_traces(traced: AsyncClient, recorder: Recorder) -> None:
    await traced.get("/healthz")
    await traced.get("/readyz")
    assert recorder.spans == ()
