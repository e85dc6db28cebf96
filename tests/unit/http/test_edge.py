"""What every request passes: ids, headers, limits, origins, the log."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from httpx import AsyncClient
from starlette.types import Message, Scope
from structlog.testing import capture_logs

from parlor.core.identity.use_cases import LogIn
from parlor.core.shared.errors import Conflict
from parlor.core.shared.tracing import current_trace
from parlor.entrypoints.http.app import make_app
from parlor.lines import present_request
from tests.fakes.container import WITH_KEY, FakeContainer, a_client, as_container, settings_for_tests

LOGIN = {"email": "ada@example.org", "password": "correct horse"}
JSON = {"content-type": "application/json"}


@pytest.mark.parametrize("given", ["a", "A-b.c_9", "x" * 64])
async def test_a_well_formed_request_id_is_kept(client: AsyncClient, given: str) -> None:
    answer = await client.get("/healthz", headers={"x-request-id": given})
    assert answer.headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", "a/b", "a\u00e9", 'a"b', "a%0a"])
async def test_any_other_request_id_is_replaced(client: AsyncClient, given: str) -> None:
    answer = await client.get("/healthz", headers=[(b"x-request-id", given.encode("latin-1"))])
    made = answer.headers["x-request-id"]
    assert made != given
    assert made.isalnum()


async def test_two_requests_have_two_ids(client: AsyncClient) -> None:
    one, other = await client.get("/healthz"), await client.get("/healthz")
    assert one.headers["x-request-id"] != other.headers["x-request-id"]


@pytest.mark.parametrize(
    "path", ["/healthz", "/api/v1/users/me", "/nothing", "/openapi.json", "/api/v1/auth/login"]
)
async def test_every_answer_has_the_security_headers(client: AsyncClient, path: str) -> None:
    headers = (await client.get(path)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert "server" not in headers
    assert "strict-transport-security" not in headers


async def test_https_is_insisted_on_where_the_public_url_has_it() -> None:
    fake = FakeContainer(settings_for_tests(PARLOR_PUBLIC_URL="https://parlor.example"))
    async with a_client(fake) as client:
        answer = await client.get("/healthz")
    assert answer.headers["strict-transport-security"].startswith("max-age=")


async def test_an_announced_body_over_the_limit_is_too_large(client: AsyncClient) -> None:
    answer = await client.post("/api/v1/auth/login", content=b"x" * 4097, headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


async def test_a_chunked_body_over_the_limit_is_too_large_and_not_read_to_its_end(
    client: AsyncClient,
) -> None:
    sent = []

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            sent.append(1)
            yield b"x" * 1024

    answer = await client.post("/api/v1/auth/login", content=endless(), headers=JSON)
    assert answer.status_code == 413
    assert len(sent) <= 6


async def test_a_body_at_the_limit_is_read(client: AsyncClient) -> None:
    content = json.dumps(LOGIN).encode().ljust(4096)
    answer = await client.post("/api/v1/auth/login", content=content + b"", headers=JSON)
    assert answer.status_code == 500  # no command stands behind it: it came that far


async def test_a_body_that_stops_coming_is_a_timeout_that_ends_the_connection(fake: FakeContainer) -> None:
    fake = FakeContainer(settings_for_tests(PARLOR_HEADER_TIMEOUT_S=0.01))
    parts: list[Message] = [{"type": "http.request", "body": b'{"email": ', "more_body": True}]

    async def receive() -> Message:
        if parts:
            return parts.pop()
        await asyncio.Event().wait()
        raise AssertionError

    async with asyncio.timeout(30):  # a failure, not a measure
        start, body = await answered(fake, receive)
    assert start["status"] == 408
    assert (b"connection", b"close") in start["headers"]
    assert json.loads(body["body"])["code"] == "request_timeout"


async def test_a_client_that_hangs_up_is_answered_by_nobody(fake: FakeContainer) -> None:
    async def receive() -> Message:
        return {"type": "http.disconnect"}

    with capture_logs() as lines:
        assert await answered(fake, receive) == []
    assert [(line["event"], line["status"], line["outcome"]) for line in lines] == [
        ("request", 499, "client_gone")
    ]


async def answered(fake: FakeContainer, receive: object) -> list[Message]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {
        "type": "http",
        "method": "POST",
        "path": "/api/v1/auth/login",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json"), (b"content-length", b"100")],
    }
    await make_app(as_container(fake))(scope, receive, send)  # type: ignore[arg-type]  # a receive of the test's own
    return sent


async def test_a_request_is_one_line_without_query_or_body(client: AsyncClient) -> None:
    sent = {"email": "secret@example.org", "password": "x"}
    with capture_logs() as lines:
        await client.post(
            "/api/v1/auth/login?ticket=secret", json={**sent, "more": 1}, headers={"x-request-id": "r1"}
        )
    assert len(lines) == 1
    line = lines[0]
    assert line.pop("duration_ms") >= 0
    assert line == {
        "event": "request",
        "log_level": "info",
        "request_id": "r1",
        "method": "POST",
        "route": "/api/v1/auth/login",
        "status": 422,
        "actor": None,
        "outcome": "invalid_request",
    }


async def test_the_line_says_who_asked(fake: FakeContainer, ada: AsyncClient, client: AsyncClient) -> None:
    service = fake.knows_key("tokens:introspect")
    with capture_logs() as lines:
        await ada.get("/api/v1/users/me")
        await client.get("/api/v1/users/me", headers=WITH_KEY)
        await client.get("/api/v1/users/me")
    assert [(line["actor"], line["outcome"]) for line in lines] == [
        (f"user:{fake.authenticate.principal.actor.id}", "ok"),
        (f"api_key:{service.id}", "person_required"),
        (None, "unauthenticated"),
    ]


async def test_ids_in_paths_are_not_in_the_line(ada: AsyncClient) -> None:
    with capture_logs() as lines:
        await ada.get("/api/v1/tasks/secret")
    assert lines[0]["route"] == "/api/v1/tasks/{task_id}"
    assert "secret" not in str(lines)


async def test_probes_are_whispered(client: AsyncClient) -> None:
    with capture_logs() as lines:
        await client.get("/healthz")
    assert [line["log_level"] for line in lines] == ["debug"]


async def test_an_unexpected_error_is_logged_once_with_its_traceback(
    fake: FakeContainer, client: AsyncClient
) -> None:
    async def log_in(**_: object) -> None:
        raise ZeroDivisionError

    fake.commands[LogIn] = log_in
    with capture_logs() as lines:
        answer = await client.post("/api/v1/auth/login", json=LOGIN)
    error, request = lines
    assert (error["event"], error["error"], error["exc_info"]) == (
        "unexpected_error",
        "ZeroDivisionError",
        True,
    )
    assert error["request_id"] == request["request_id"] == answer.headers["x-request-id"]
    assert (request["status"], request["outcome"]) == (500, "internal_error")


TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    ("given", "bound"),
    [(TRACE, TRACE), ("nonsense", None), (TRACE.upper(), None), (f"00-{'0' * 32}-{'1' * 16}-01", None)],
)
async def test_what_happens_inside_a_request_knows_its_id_and_trace(
    fake: FakeContainer, client: AsyncClient, given: str, bound: str | None
) -> None:
    seen: dict[str, object] = {}

    async def log_in(**_: object) -> None:
        seen.update(request_id=present_request.get(), trace=current_trace())
        raise Conflict

    fake.commands[LogIn] = log_in
    await client.post("/api/v1/auth/login", json=LOGIN, headers={"x-request-id": "r1", "traceparent": given})
    assert seen == {"request_id": "r1", "trace": bound}
    assert (present_request.get(), current_trace()) == (None, None)


ORIGIN = "https://app.example"
PREFLIGHT = {"origin": ORIGIN, "access-control-request-method": "POST"}


@pytest.fixture
async def shared() -> AsyncIterator[AsyncClient]:
    """Let one origin in."""
    async with a_client(FakeContainer(settings_for_tests(PARLOR_CORS_ORIGINS=ORIGIN))) as client:
        yield client


async def test_a_configured_origin_may_read_answers(shared: AsyncClient) -> None:
    headers = (await shared.get("/healthz", headers={"origin": ORIGIN})).headers
    assert headers["access-control-allow-origin"] == ORIGIN
    assert "ETag" in headers["access-control-expose-headers"]
    assert headers["vary"] == "Origin"
    assert "access-control-allow-credentials" not in headers


async def test_a_configured_origin_may_ask_first(shared: AsyncClient) -> None:
    answer = await shared.options("/api/v1/tasks", headers=PREFLIGHT)
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert "Authorization" in answer.headers["access-control-allow-headers"]
    assert "PATCH" in answer.headers["access-control-allow-methods"]


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "https://app.example.evil", "http://app.example"]
)
async def test_a_foreign_origin_gets_nothing(shared: AsyncClient, origin: str) -> None:
    asked = await shared.options("/api/v1/tasks", headers={**PREFLIGHT, "origin": origin})
    answer = await shared.get("/healthz", headers={"origin": origin})
    assert asked.status_code == 405
    assert "access-control-allow-origin" not in {*asked.headers, *answer.headers}
    assert answer.headers["vary"] == "Origin"


async def test_without_configured_origins_nothing_is_said_about_them(client: AsyncClient) -> None:
    answer = await client.options("/api/v1/tasks", headers=PREFLIGHT)
    assert answer.status_code == 405
    assert not any(name.startswith("access-control") for name in answer.headers)


@pytest.mark.parametrize(("owns", "life"), [(True, ["started", "closed"]), (False, [])])
async def test_the_container_lives_as_long_as_the_application_that_owns_it(
    fake: FakeContainer, owns: bool, life: list[str]
) -> None:
    app = make_app(as_container(fake), owns_container=owns)
    async with app.router.lifespan_context(app):
        assert fake.life == life[:1]
    assert fake.life == life
