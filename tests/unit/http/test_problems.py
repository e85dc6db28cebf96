"""Errors on the wire: their shape, their statuses, and which of them wins."""

import pytest
from httpx import AsyncClient

from parlor.core.identity.use_cases import LogIn, Register
from parlor.core.shared.errors import (
    Conflict,
    DatabaseAway,
    Forbidden,
    Invalid,
    NotFound,
    ParlorError,
    Stale,
    TooMany,
    Unauthenticated,
)
from tests.fakes.container import FakeContainer

LOGIN = {"email": "ada@example.org", "password": "correct horse"}
ANY_ID = "0190f5e0-0000-7000-8000-000000000000"


def login_raises(fake: FakeContainer, error: Exception) -> None:
    async def log_in(**_: object) -> None:
        raise error

    fake.commands[LogIn] = log_in


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Invalid(), 422),
        (Unauthenticated(), 401),
        (Forbidden(), 403),
        (NotFound(), 404),
        (Conflict(), 409),
        (Stale(), 412),
        (TooMany(retry_after=7), 429),
        (DatabaseAway(retry_after=2), 503),
    ],
)
async def test_each_kind_of_error_has_its_status(
    fake: FakeContainer, client: AsyncClient, error: ParlorError, status: int
) -> None:
    """The kind decides the status; code and detail are the error's own."""
    login_raises(fake, error)
    answer = await client.post("/api/v1/auth/login", json=LOGIN)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert problem["type"] == f"urn:parlor:problem:{error.code}"
    assert (problem["status"], problem["code"], problem["detail"]) == (status, error.code, error.detail)
    assert ("errors" in problem) == (status == 422)


@pytest.mark.parametrize(("error", "seconds"), [(TooMany(retry_after=7), "7"), (DatabaseAway(), "1")])
async def test_who_may_come_back_is_told_when(
    fake: FakeContainer, client: AsyncClient, error: ParlorError, seconds: str
) -> None:
    login_raises(fake, error)
    answer = await client.post("/api/v1/auth/login", json=LOGIN)
    assert answer.headers["retry-after"] == seconds


async def test_an_unexpected_error_says_nothing_but_its_request_id(
    fake: FakeContainer, client: AsyncClient
) -> None:
    login_raises(fake, ZeroDivisionError("the secret of the house"))
    answer = await client.post("/api/v1/auth/login", json=LOGIN)
    assert answer.status_code == 500
    assert answer.json()["code"] == "internal_error"
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    assert "secret" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_an_unknown_path_is_not_found(client: AsyncClient) -> None:
    answer = await client.get("/api/v1/nothing")
    assert answer.status_code == 404
    assert answer.json()["code"] == "not_found"


async def test_an_unknown_path_and_an_invisible_thing_differ_in_nothing_but_the_request_id(
    fake: FakeContainer, client: AsyncClient
) -> None:
    same = {"x-request-id": "one"}
    login_raises(fake, NotFound())
    invisible = await client.post("/api/v1/auth/login", json=LOGIN, headers=same)
    absent = await client.post("/api/v1/nothing", json=LOGIN, headers=same)
    assert invisible.content == absent.content


async def test_a_slash_too_many_is_another_path(client: AsyncClient) -> None:
    assert (await client.get("/api/v1/users/me/")).status_code == 404


async def test_a_wrong_method_is_told_all_the_right_ones(client: AsyncClient) -> None:
    answer = await client.delete("/api/v1/tasks")
    assert answer.status_code == 405
    assert answer.json()["code"] == "method_not_allowed"
    assert answer.headers["allow"] == "GET, POST"


@pytest.mark.parametrize(
    ("method", "path", "right"),
    [("DELETE", "/users/me/sessions", "GET"), ("GET", "/tasks/batch", "POST")],
)
async def test_a_wrong_method_on_a_word_is_none_on_an_id(
    client: AsyncClient, method: str, path: str, right: str
) -> None:
    """The word stands where another route has an id."""
    answer = await client.request(method, f"/api/v1{path}")
    assert (answer.status_code, answer.headers["allow"]) == (405, right)


async def test_a_wrong_method_wins_over_a_missing_credential(client: AsyncClient) -> None:
    assert (await client.put("/api/v1/users/me")).status_code == 405


@pytest.mark.parametrize(
    ("content", "headers"),
    [
        (b"x" * 5000, {"content-type": "application/json"}),
        (b"{}", {"content-type": "text/plain"}),
        (b"{", {"content-type": "application/json"}),
        (b"{}", {"content-type": "application/json"}),
    ],
)
async def test_a_missing_credential_wins_over_everything_about_the_body(
    client: AsyncClient, content: bytes, headers: dict[str, str]
) -> None:
    answer = await client.post("/api/v1/tasks", content=content, headers=headers)
    assert answer.status_code == 401


async def test_a_missing_credential_wins_over_an_id_that_is_none(client: AsyncClient) -> None:
    assert (await client.get("/api/v1/tasks/7")).status_code == 401


@pytest.mark.parametrize(
    ("content", "media", "status"),
    [
        (b"x" * 5000, "text/plain", 413),
        (b"{", "text/plain", 415),
        (b'{"no": 1', "application/json", 400),
        (b'{"no": 1}', "application/json", 422),
    ],
)
async def test_size_wins_over_media_type_over_syntax_over_shape(
    client: AsyncClient, content: bytes, media: str, status: int
) -> None:
    answer = await client.post("/api/v1/auth/login", content=content, headers={"content-type": media})
    assert answer.status_code == status


async def test_the_shape_wins_over_a_conflict(fake: FakeContainer, client: AsyncClient) -> None:
    fake.commands[Register] = _taken
    answer = await client.post("/api/v1/auth/register", json={**LOGIN, "role": "admin"})
    assert answer.status_code == 422


async def _taken(**_: object) -> None:
    raise Conflict


async def test_a_missing_permission_wins_over_the_state(ada: AsyncClient) -> None:
    answer = await ada.get("/api/v1/dead-letters")
    assert (answer.status_code, answer.json()["code"]) == (403, "permission_missing")


async def test_a_malformed_id_is_told_where_it_stands(ada: AsyncClient) -> None:
    answer = await ada.get("/api/v1/tasks/seven")
    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {"pointer": "path:task_id", "code": "invalid_uuid", "detail": "This must be a UUID."}
    ]


@pytest.mark.parametrize("limit", ["0", "101", "-1", "99999999999999999999", "many", "1.5"])
async def test_a_number_out_of_range_is_told_where_it_stands(ada: AsyncClient, limit: str) -> None:
    answer = await ada.get("/api/v1/tasks", params={"limit": limit})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "query:limit"


async def test_what_was_sent_is_never_echoed(client: AsyncClient) -> None:
    sent = {"email": "MARK" * 100, "password": "MARK", "display_name": {"MARK": 1}}
    answer = await client.post("/api/v1/auth/register", json=sent)
    assert answer.status_code == 422
    assert {error["pointer"] for error in answer.json()["errors"]} == {"/email", "/password", "/display_name"}
    assert "MARK" not in answer.text


async def test_a_body_full_of_mistakes_gets_a_short_answer(client: AsyncClient) -> None:
    sent = {f"field-{n}": n for n in range(200)}
    answer = await client.post("/api/v1/auth/login", json=sent)
    assert answer.status_code == 422
    assert len(answer.json()["errors"]) == 50
