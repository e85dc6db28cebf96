"""The routes of dead letters: who may, and what each answers."""

import pytest
from httpx import AsyncClient

from parlor.core.shared.ids import uuid7
from parlor.core.shared.paging import PageRequest
from tests.unit.http.letter_fakes import LETTER_ID, FakeLetters

ONE = f"/api/v1/dead-letters/{LETTER_ID}"
OTHER = f"/api/v1/dead-letters/{uuid7()}"
BAD = "/api/v1/dead-letters/nonsense"


async def test_they_are_listed(manager: AsyncClient, letters: FakeLetters) -> None:
    answer = await manager.get("/api/v1/dead-letters")
    assert (answer.status_code, answer.json()) == (200, {"items": [], "next_cursor": None})
    assert letters.asked == [(PageRequest(50), None)]


async def test_they_are_listed_by_their_reason(manager: AsyncClient, letters: FakeLetters) -> None:
    await manager.get("/api/v1/dead-letters?reason=not_json&limit=7")
    assert letters.asked == [(PageRequest(7), "not_json")]


@pytest.mark.parametrize("reason", ["", "%00", "x" * 129])
async def test_a_reason_that_cannot_be_one_is_invalid(manager: AsyncClient, reason: str) -> None:
    answer = await manager.get(f"/api/v1/dead-letters?reason={reason}")
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "query:reason")


async def test_one_is_shown(manager: AsyncClient, letters: FakeLetters) -> None:
    answer = await manager.get(ONE)
    assert (answer.status_code, answer.content) == (200, letters.view)
    assert answer.headers["content-type"] == "application/json"


async def test_a_replay_is_accepted_once(manager: AsyncClient, letters: FakeLetters) -> None:
    """The answer is the letter as it is now."""
    first, second = await manager.post(f"{ONE}/replay"), await manager.post(f"{ONE}/replay")
    assert (first.status_code, first.content) == (202, letters.view)
    assert (second.status_code, second.json()["code"]) == (409, "already_replayed")
    assert [name for name, _ in letters.done] == ["replay"]


async def test_a_discarded_one_leaves_nothing_to_say(manager: AsyncClient, letters: FakeLetters) -> None:
    answer = await manager.delete(ONE)
    assert (answer.status_code, answer.content) == (204, b"")
    assert [name for name, _ in letters.done] == ["discard"]


@pytest.mark.parametrize(
    "path", [ONE, OTHER, BAD, "/api/v1/dead-letters?cursor=forged"], ids=["one", "unknown", "no id", "list"]
)
async def test_others_lack_a_permission_whatever_they_ask_for(
    ada: AsyncClient, letters: FakeLetters, path: str
) -> None:
    """Before any id, or cursor, is looked at."""
    paths = {"GET": path} if "?" in path else {"GET": path, "DELETE": path, "POST": f"{path}/replay"}
    for method, asked in paths.items():
        answer = await ada.request(method, asked)
        assert (answer.status_code, answer.json()["code"]) == (403, "permission_missing"), method
    assert (letters.asked, letters.done) == ([], [])


@pytest.mark.parametrize(("path", "status"), [(OTHER, 404), (BAD, 422)], ids=["unknown", "no id"])
async def test_what_is_not_there_cannot_be_acted_on(manager: AsyncClient, path: str, status: int) -> None:
    asked = {"GET": path, "DELETE": path, "POST": f"{path}/replay"}
    answers = [await manager.request(method, url) for method, url in asked.items()]
    assert [answer.status_code for answer in answers] == [status] * 3
    if status == 422:
        assert answers[0].json()["errors"] == [
            {"pointer": "path:letter_id", "code": "invalid_uuid", "detail": "This must be a UUID."}
        ]
