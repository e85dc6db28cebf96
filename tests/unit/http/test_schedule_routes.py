"""Schedules over HTTP: the routes, with the use cases behind them over a store in memory."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from httpx import AsyncClient

from parlor.adapters.cron import CronsimLines
from parlor.core.shared.actor import Actor
from parlor.core.shared.errors import NotFound
from parlor.core.shared.ids import ScheduleId, uuid7
from parlor.core.shared.paging import Page, PageRequest
from parlor.core.tasks.schedules import Schedule
from parlor.core.tasks.schedules_ports import ScheduleViews
from parlor.core.tasks.schedules_use_cases import AddSchedule, ChangeSchedule, RemoveSchedule
from tests.fakes.clock import FakeClock
from tests.fakes.container import SIGNED_IN, FakeContainer, a_client, a_principal
from tests.fakes.tasks import kinds_that
from tests.fakes.work import FakeDatabase

URL = "/api/v1/schedules"
NEW = {"name": "Report", "cron": "30 7 * * *", "kind": "note", "payload": {"text": "hi", "password": "s"}}
VIEW = b'{"id": "x", "payload": {"version": 9}, "version": 4}'


@dataclass
class FakeViews:
    """One view for what is stored, and pages that end when the test says so."""

    database: FakeDatabase
    following: tuple[str, ...] | None = None
    asked: list[PageRequest] = field(default_factory=list)

    async def one(self, _viewer: Actor, schedule_id: ScheduleId) -> bytes:
        if schedule_id not in self.database.store.schedules.schedules:
            raise NotFound
        return VIEW

    async def page(self, _viewer: Actor, page: PageRequest) -> Page[bytes]:
        self.asked.append(page)
        return Page(b'[{"id": 1}]', self.following)


@pytest.fixture
def database() -> FakeDatabase:
    return FakeDatabase(FakeClock())


@pytest.fixture
def schedule_views(fake: FakeContainer, database: FakeDatabase) -> FakeViews:
    views = FakeViews(database)
    fake.ports[ScheduleViews] = views
    parts = (database.work, kinds_that(), CronsimLines(), FakeClock())
    fake.commands |= {
        AddSchedule: AddSchedule(*parts),
        ChangeSchedule: ChangeSchedule(*parts),
        RemoveSchedule: RemoveSchedule(database.work),
    }
    return views


@pytest.fixture
async def ada(fake: FakeContainer, schedule_views: FakeViews) -> AsyncIterator[httpx.AsyncClient]:
    """Sign a user in, after the store is there."""
    async with a_client(fake, **SIGNED_IN) as client:
        yield client


def stored(database: FakeDatabase) -> list[Schedule]:
    return list(database.store.schedules.schedules.values())


async def made(ada: AsyncClient, **fields: Any) -> str:
    answer = await ada.post(URL, json=NEW | fields)
    assert answer.status_code == 201, answer.text
    return str(answer.headers["location"])


async def test_a_new_schedule_is_created_and_shown_without_its_secrets(
    ada: AsyncClient, database: FakeDatabase
) -> None:
    answer = await ada.post(URL, json=NEW | {"timezone": "Europe/Berlin", "priority": "low"})
    (schedule,) = stored(database)
    assert answer.status_code == 201
    assert answer.headers["location"] == f"{URL}/{schedule.id}"
    assert answer.headers["etag"] == '"1"'
    assert answer.json() == {
        "id": str(schedule.id),
        "name": "Report",
        "cron": "30 7 * * *",
        "timezone": "Europe/Berlin",
        "kind": "note",
        "payload": {"text": "hi"},
        "priority": "low",
        "enabled": True,
        "next_run_at": "2026-03-02T06:30:00.000000Z",
        "last_run_at": None,
        "last_task_id": None,
        "version": 1,
    }
    assert schedule.secrets == {"password": "s"}


async def test_without_more_it_is_enabled_in_utc(ada: AsyncClient) -> None:
    shown = (await ada.post(URL, json=NEW)).json()
    assert (shown["timezone"], shown["priority"], shown["enabled"]) == ("UTC", "default", True)
    assert (await ada.post(URL, json=NEW | {"enabled": False})).json()["next_run_at"] is None


FIELDS: list[tuple[str, Any, str]] = [
    ("name", "", "blank"),
    ("name", " ", "blank"),
    ("name", "x" * 101, "too_long"),
    ("name", "a\nb", "control_character"),
    ("name", None, "wrong_type"),
    ("cron", "", "invalid_cron"),
    ("cron", "* * * *", "invalid_cron"),
    ("cron", "* * * * * *", "invalid_cron"),
    ("cron", "@hourly", "invalid_cron"),
    ("cron", "0 0 31 2 *", "never_due"),
    ("cron", "x" * 257, "too_long"),
    ("cron", "*\t* * * *", "control_character"),
    ("cron", 5, "wrong_type"),
    ("timezone", "", "unknown_timezone"),
    ("timezone", "Mars/Olympus", "unknown_timezone"),
    ("timezone", "../UTC", "unknown_timezone"),
    ("timezone", "x" * 65, "too_long"),
    ("timezone", None, "wrong_type"),
    ("kind", "", "too_short"),
    ("kind", "films", "unknown_kind"),
    ("payload", [], "wrong_type"),
    ("payload", None, "wrong_type"),
    ("priority", "urgent", "not_allowed"),
    ("enabled", "yes", "wrong_type"),
    ("enabled", None, "wrong_type"),
    ("next_run_at", None, "unknown_field"),
    ("version", 1, "unknown_field"),
]


@pytest.mark.parametrize(("name", "value", "code"), FIELDS)
async def test_a_field_is_checked_when_it_is_made_and_when_it_is_changed(
    ada: AsyncClient, database: FakeDatabase, name: str, value: Any, code: str
) -> None:
    place = await made(ada)
    before = stored(database)
    for answer in (await ada.post(URL, json=NEW | {name: value}), await ada.patch(place, json={name: value})):
        assert answer.status_code == 422
        assert [(error["pointer"], error["code"]) for error in answer.json()["errors"]] == [
            (f"/{name}", code)
        ]
    assert stored(database) == before


@pytest.mark.parametrize("missing", ["name", "cron", "kind", "payload"])
async def test_what_a_schedule_needs_is_asked_for(ada: AsyncClient, missing: str) -> None:
    answer = await ada.post(URL, json={name: value for name, value in NEW.items() if name != missing})
    assert [(error["pointer"], error["code"]) for error in answer.json()["errors"]] == [
        (f"/{missing}", "required")
    ]


async def test_a_payload_is_checked_against_its_kind(ada: AsyncClient) -> None:
    place = await made(ada)
    for answer in (
        await ada.post(URL, json=NEW | {"payload": {"text": 1, "more": 2}}),
        await ada.patch(place, json={"payload": {"text": 1, "more": 2}}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_payload")
        assert [error["pointer"] for error in answer.json()["errors"]] == ["/payload/text", "/payload/more"]


async def test_a_kind_that_needs_more_is_forbidden(ada: AsyncClient) -> None:
    place = await made(ada)
    for answer in (
        await ada.post(URL, json=NEW | {"kind": "secret_note"}),
        await ada.patch(place, json={"kind": "secret_note"}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "permission_missing")


async def test_a_repetition_is_the_schedule_as_it_is_now(ada: AsyncClient, database: FakeDatabase) -> None:
    first = await ada.post(URL, json=NEW, headers={"idempotency-key": "k"})
    assert "idempotent-replayed" not in first.headers
    again = await ada.post(URL, json=NEW, headers={"idempotency-key": "k"})
    assert (again.status_code, again.content, again.headers["etag"]) == (201, VIEW, '"4"')
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["location"] == first.headers["location"]
    assert len(stored(database)) == 1
    other = await ada.post(URL, json=NEW | {"name": "x"}, headers={"idempotency-key": "k"})
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


async def test_a_repetition_of_what_is_gone_is_not_found(ada: AsyncClient) -> None:
    place = (await ada.post(URL, json=NEW, headers={"idempotency-key": "k"})).headers["location"]
    assert (await ada.delete(place)).status_code == 204
    assert (await ada.post(URL, json=NEW, headers={"idempotency-key": "k"})).status_code == 404


async def test_a_hundred_and_first_is_a_conflict(ada: AsyncClient) -> None:
    for _ in range(100):
        await made(ada)
    answer = await ada.post(URL, json=NEW)
    assert (answer.status_code, answer.json()["code"]) == (409, "too_many_schedules")


async def test_one_is_read_with_its_tag(ada: AsyncClient) -> None:
    place = await made(ada)
    answer = await ada.get(place)
    assert (answer.status_code, answer.content, answer.headers["etag"]) == (200, VIEW, '"4"')
    assert (await ada.get(f"{URL}/{uuid7()}")).json()["code"] == "not_found"
    assert (await ada.get(f"{URL}/x")).json()["errors"][0]["pointer"] == "path:schedule_id"


async def test_pages_follow_one_another(ada: AsyncClient, schedule_views: FakeViews) -> None:
    schedule_views.following = ("2026-03-01T12:00:00+00:00", str(uuid7()))
    first = (await ada.get(URL, params={"limit": 1})).json()
    assert first["items"] == [{"id": 1}]
    await ada.get(URL, params={"cursor": first["next_cursor"]})
    assert schedule_views.asked == [PageRequest(1), PageRequest(50, schedule_views.following)]
    refused = await ada.get(URL, params={"cursor": "x"})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "query:cursor")


async def test_a_change_answers_with_what_became_of_it(ada: AsyncClient) -> None:
    place = await made(ada)
    changes = {"name": "Other", "cron": "*/5 * * * *", "priority": "high", "payload": {"text": "new"}}
    answer = await ada.patch(place, json=changes)
    assert (answer.status_code, answer.headers["etag"]) == (200, '"2"')
    assert {name: answer.json()[name] for name in changes} == changes
    assert answer.json()["next_run_at"] == "2026-03-01T12:05:00.000000Z"
    resting = (await ada.patch(place, json={"enabled": False})).json()
    assert (resting["enabled"], resting["next_run_at"], resting["version"]) == (False, None, 3)
    assert (await ada.patch(place, json={})).headers["etag"] == '"3"'


@pytest.mark.parametrize(
    ("tag", "status", "code"),
    [
        ('"2"', 412, "version_mismatch"),
        ('W/"1"', 412, "version_mismatch"),
        ("1", 422, "invalid_if_match"),
        ('"1', 422, "invalid_if_match"),
        ("", 422, "invalid_if_match"),
    ],
)
async def test_a_tag_that_does_not_match_changes_nothing(
    ada: AsyncClient, database: FakeDatabase, tag: str, status: int, code: str
) -> None:
    place = await made(ada)
    before = stored(database)
    for answer in (
        await ada.patch(place, json={"name": "Other"}, headers={"if-match": tag}),
        await ada.delete(place, headers={"if-match": tag}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        if status == 422:
            assert answer.json()["errors"][0]["pointer"] == "header:If-Match"
    assert stored(database) == before


@pytest.mark.parametrize("tag", ['"1"', '"9", "1"', "*"])
async def test_a_tag_that_matches_lets_it_through(ada: AsyncClient, tag: str) -> None:
    for answer in (
        await ada.patch(await made(ada), json={"name": "Other"}, headers={"if-match": tag}),
        await ada.delete(await made(ada), headers={"if-match": tag}),
    ):
        assert answer.status_code in {200, 204}


async def test_what_is_ended_is_gone(ada: AsyncClient) -> None:
    place = await made(ada)
    answer = await ada.delete(place)
    assert (answer.status_code, answer.content) == (204, b"")
    for again in (await ada.delete(place), await ada.patch(place, json={}), await ada.get(place)):
        assert (again.status_code, again.json()["code"]) == (404, "not_found")


async def test_a_strangers_schedule_is_absent_and_a_managers_word_counts(
    ada: AsyncClient, fake: FakeContainer
) -> None:
    place, tag = await made(ada), {"if-match": '"9"'}
    absent = await ada.patch(f"{URL}/{uuid7()}", json={"name": "x"})
    fake.authenticate.principal = a_principal()
    for answer in (
        await ada.patch(place, json={"name": "x"}, headers=tag),
        await ada.delete(place, headers=tag),
    ):
        assert answer.status_code == 404
        assert answer.json() | {"request_id": ""} == absent.json() | {"request_id": ""}
    fake.authenticate.principal = a_principal(frozenset({"tasks:manage"}))
    assert (await ada.patch(place, json={"enabled": False})).status_code == 200
    assert (await ada.delete(place)).status_code == 204


async def test_nobody_comes_in_without_a_credential(client: AsyncClient) -> None:
    for method, url in (("GET", URL), ("POST", URL), ("PATCH", f"{URL}/x"), ("DELETE", f"{URL}/x")):
        assert (await client.request(method, url)).status_code == 401


async def test_the_document_says_how_each_can_fail(ada: AsyncClient) -> None:
    paths = (await ada.get("/openapi.json")).json()["paths"]
    add, one = paths[URL]["post"], paths[f"{URL}/{{schedule_id}}"]
    for code in ("invalid_cron", "never_due", "unknown_timezone", "invalid_idempotency_key"):
        assert f"`{code}`" in add["responses"]["422"]["description"]
    assert "`too_many_schedules`" in add["responses"]["409"]["description"]
    for method in ("patch", "delete"):
        assert "If-Match" in [parameter["name"] for parameter in one[method]["parameters"]]
        assert "`version_mismatch`" in one[method]["responses"]["412"]["description"]
    assert "default" not in str(one["patch"]["requestBody"])
