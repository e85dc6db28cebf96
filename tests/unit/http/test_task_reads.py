"""Reading tasks over HTTP."""

from uuid import UUID

import pytest
from httpx import AsyncClient

from parlor.core.shared.paging import PageRequest
from parlor.core.tasks.model import TaskStatus
from tests.fakes.container import FakeContainer
from tests.unit.http.task_fakes import TASK_ID, VIEW, FakeViews


async def test_a_task_is_sent_as_the_database_wrote_it(
    ada: AsyncClient, fake: FakeContainer, views: FakeViews
) -> None:
    answer = await ada.get(f"/api/v1/tasks/{TASK_ID}")
    assert (answer.status_code, answer.content) == (200, VIEW)
    assert (answer.headers["content-type"], answer.headers["etag"]) == ("application/json", '"4"')
    assert views.asked == [(fake.authenticate.principal.actor, UUID(str(TASK_ID)))]


@pytest.mark.parametrize(
    ("view", "tag"),
    [
        (b'{"version":7}', '"7"'),
        (b'{"version" : 12, "result": {"version": 9}}', '"12"'),
        (b'{"version": 3, "x": "\\"version\\": 5}"}\n', '"3"'),
    ],
)
async def test_the_tag_is_the_version_wherever_it_stands(
    ada: AsyncClient, views: FakeViews, view: bytes, tag: str
) -> None:
    views.view = view
    assert (await ada.get(f"/api/v1/tasks/{TASK_ID}")).headers["etag"] == tag


async def test_a_task_is_waited_for(ada: AsyncClient, views: FakeViews) -> None:
    views.runs = 3
    answer = await ada.get(f"/api/v1/tasks/{TASK_ID}?wait=30")
    assert answer.status_code == 200
    assert views.runs < 0


async def test_nobody_waits_for_what_they_may_not_see(ada: AsyncClient, views: FakeViews) -> None:
    views.view = None
    assert (await ada.get(f"/api/v1/tasks/{TASK_ID}?wait=30")).status_code == 404


@pytest.mark.parametrize("wait", ["-1", "31", "nan", "soon"])
async def test_nobody_waits_longer_than_the_contract_says(ada: AsyncClient, wait: str) -> None:
    answer = await ada.get(f"/api/v1/tasks/{TASK_ID}", params={"wait": wait})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "query:wait"


async def test_a_list_is_a_page_with_a_cursor_to_the_next(ada: AsyncClient, views: FakeViews) -> None:
    views.following = ("2026", "a")
    first = await ada.get("/api/v1/tasks?status=queued&kind=a&limit=7&unknown=1")
    assert first.json()["items"] == [{"id": 1}]
    await ada.get("/api/v1/tasks", params={"cursor": first.json()["next_cursor"]})
    (_, page, status, kind), (_, following, *_) = views.asked
    assert (page, status, kind) == (PageRequest(limit=7), TaskStatus.QUEUED, "a")
    assert following == PageRequest(limit=50, after=("2026", "a"))


async def test_the_last_page_has_no_cursor(ada: AsyncClient) -> None:
    answer = await ada.get("/api/v1/tasks")
    assert answer.json() == {"items": [{"id": 1}], "next_cursor": None}


@pytest.mark.parametrize(
    "query", ["status=done", "kind=", "kind=a%00b", "kind=" + "x" * 129, "limit=0", "cursor=forged"]
)
async def test_a_malformed_filter_is_told_where_it_stands(ada: AsyncClient, query: str) -> None:
    answer = await ada.get(f"/api/v1/tasks?{query}")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "query:" + query.partition("=")[0]


async def test_kinds_are_listed_with_their_schemas(ada: AsyncClient) -> None:
    answer = await ada.get("/api/v1/task-kinds")
    assert [kind["kind"] for kind in answer.json()["items"]] == ["a", "b"]
    assert answer.json()["items"][1] == {
        "kind": "b",
        "permission": "tasks:create:b",
        "payload_schema": {"title": "payload of b"},
        "result_schema": {"title": "result of b"},
    }
