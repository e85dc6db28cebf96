"""Tasks over HTTP."""

import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncio
import pytest
from httpx import AsyncClient

from parlor.core.shared.actor import Actor, ActorKind
from parlor.core.shared.errors import NotFound
from parlor.core.shared.ids import TaskId, uuid7
from parlor.core.shared.paging import Page, PageRequest
from parlor.core.tasks.kinds import Kinds
from parlor.core.tasks.model import Order, Priority, Requester, Task, TaskError, TaskStatus
from parlor.core.tasks.ports import TaskViews
from parlor.core.tasks.use_cases import Enqueued, EnqueueTask
from parlor.core.tasks.waiting import Ends
from tests.fakes.container import SIGNED_IN, WHEN, FakeContainer, a_client, a_principal, settings_for_tests

TASK_ID = TaskId(uuid7())
VIEW = b'{"id": "x", "result": {"version": 9}, "version" : 4}'
ORDER = {"kind": "truth_or_dare", "payload": {"mode": "truth"}}


@dataclass
class FakeViews:
    """One task, and pages that end when the test says so."""

    view: bytes | None = VIEW
    following: tuple[str, ...] | None = None
    asked: list[Any] = field(default_factory=list)
    runs: int = 0

    async def one(self, viewer: Actor, task_id: TaskId) -> bytes:
        self.asked.append((viewer, task_id))
        if self.view is None:
            raise NotFound
        return self.view

    async def page(
        self, viewer: Actor, page: PageRequest, *, status: TaskStatus | None, kind: str | None
    ) -> Page[bytes]:
        self.asked.append((viewer, page, status, kind))
        return Page(b'[{"id": 1}]', self.following)

    async def ended(self, viewer: Actor, task_id: TaskId) -> bool:
        self.runs -= 1
        if self.view is None:
            raise NotFound
        return self.runs < 0

    async def dead_letters(self, viewer: Actor, page: PageRequest) -> Page[bytes]:
        return Page(b"[]", None)


class HintedEnds:
    """Every wait is hinted at once."""

    def expect(self, task_id: TaskId) -> AbstractContextManager[asyncio.Event]:
        hint = asyncio.Event()
        hint.set()
        return nullcontext(hint)


class FakePayloads:
    """Describes any kind."""

    def describe(self, kind: str) -> tuple[dict[str, object], dict[str, object]]:
        return {"title": f"payload of {kind}"}, {"title": f"result of {kind}"}


@dataclass
class FakeHandler:
    kind: str
    permission: str | None


@dataclass
class Enqueue:
    """Answers with what the test says; without it, with a new task."""

    answer: Enqueued | None = None
    actor: Actor | None = None
    order: Order | None = None
    once: Any = None

    async def __call__(self, actor: Actor, order: Order, *, once: Any) -> Enqueued:
        self.actor, self.order, self.once = actor, order, once
        if self.answer is not None:
            return self.answer
        task = Task.ordered(TASK_ID, order, Requester.of(actor))
        task.created_at = WHEN
        task.run_at = task.run_at or WHEN
        task.secrets = {"headers": "hidden"}
        return Enqueued(TASK_ID, task=task)


@pytest.fixture
def views() -> FakeViews:
    return FakeViews()


@pytest.fixture
def enqueue() -> Enqueue:
    return Enqueue()


@pytest.fixture
def fake(views: FakeViews, enqueue: Enqueue) -> FakeContainer:
    handlers = {kind: FakeHandler(kind, need) for kind, need in {"b": "tasks:create:b", "a": None}.items()}
    ports: dict[object, object] = {
        TaskViews: views,
        Ends: HintedEnds(),
        Kinds: Kinds(handlers, FakePayloads()),  # type: ignore[arg-type]  # what the route asks of them
    }
    return FakeContainer(settings_for_tests(), ports=ports, commands={EnqueueTask: enqueue})


@pytest.fixture
async def manager(fake: FakeContainer) -> AsyncIterator[AsyncClient]:
    """Sign somebody in who manages tasks."""
    fake.authenticate.principal = a_principal(frozenset({"tasks:manage"}))
    async with a_client(fake, **SIGNED_IN) as client:
        yield client


async def test_a_new_task_is_accepted_and_shown(ada: AsyncClient, fake: FakeContainer, views: FakeViews) -> None:
    answer = await ada.post("/api/v1/tasks", json={**ORDER, "priority": "high", "unique_key": "k"})
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/api/v1/tasks/{TASK_ID}"
    assert answer.headers["etag"] == '"1"'
    assert answer.json() == {
        "id": str(TASK_ID),
        "kind": "truth_or_dare",
        "status": "queued",
        "payload": {"mode": "truth"},
        "result": None,
        "error": None,
        "attempts": 0,
        "max_attempts": 5,
        "priority": "high",
        "progress": None,
        "run_at": "2026-01-01T12:30:00.123456Z",
        "timeout_s": 60,
        "requested_by": {"kind": "user", "id": str(fake.authenticate.principal.user.id)},
        "created_at": "2026-01-01T12:30:00.123456Z",
        "started_at": None,
        "finished_at": None,
        "schedule_id": None,
        "version": 1,
    }
    assert views.asked == []


async def test_an_order_without_more_is_the_core_s_own(ada: AsyncClient, enqueue: Enqueue) -> None:
    await ada.post("/api/v1/tasks", json=ORDER)
    assert enqueue.order == Order(kind="truth_or_dare", payload={"mode": "truth"})
    assert enqueue.once is None


async def test_an_order_is_taken_with_everything_that_is_said(
    ada: AsyncClient, enqueue: Enqueue, fake: FakeContainer
) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    soon = datetime.now(UTC) + timedelta(hours=1)
    said = {"priority": "low", "max_attempts": 1, "timeout_s": 86_400, "unique_key": "k", "run_at": soon.isoformat()}
    await ada.post("/api/v1/tasks", json={**ORDER, **said}, headers={"traceparent": trace})
    assert enqueue.actor == fake.authenticate.principal.actor
    assert enqueue.order == Order(
        kind="truth_or_dare",
        payload={"mode": "truth"},
        priority=Priority.LOW,
        run_at=soon,
        max_attempts=1,
        timeout_s=86_400,
        unique_key="k",
        traceparent=trace,
    )


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("kind", "", "too_short"),
        ("kind", "x" * 129, "too_long"),
        ("kind", "a\nb", "control_character"),
        ("kind", None, "wrong_type"),
        ("payload", [], "wrong_type"),
        ("payload", None, "wrong_type"),
        ("priority", "urgent", "not_allowed"),
        ("priority", None, "not_allowed"),
        ("max_attempts", 0, "out_of_range"),
        ("max_attempts", 101, "out_of_range"),
        ("max_attempts", "5", "wrong_type"),
        ("max_attempts", True, "wrong_type"),
        ("max_attempts", 1.5, "wrong_type"),
        ("max_attempts", 2**62, "out_of_range"),
        ("timeout_s", 0, "out_of_range"),
        ("timeout_s", 86_401, "out_of_range"),
        ("unique_key", "", "too_short"),
        ("unique_key", "x" * 129, "too_long"),
        ("run_at", 1_700_000_000, "invalid_time"),
        ("run_at", "tomorrow", "invalid_time"),
        ("run_at", "2026-02-30T00:00:00Z", "invalid_time"),
        ("run_at", "2026-01-01", "invalid_time"),
        ("run_at", "2026-01-01T00:00:60Z", "invalid_time"),
        ("run_at", "0000-01-01T00:00:00Z", "invalid_time"),
        ("run_at", "0001-01-01T00:00:00+14:00", "invalid_time"),
        ("run_at", "9999-12-31T23:59:59-14:00", "invalid_time"),
        ("run_at", "2026-01-01T00:00:00", "time_zone_needed"),
        ("run_at", "9999-12-31T23:59:59Z", "too_far_ahead"),
        ("secrets", {}, "unknown_field"),
        ("traceparent", "x", "unknown_field"),
    ],
)
async def test_a_field_of_an_order_is_checked(ada: AsyncClient, field: str, value: Any, code: str) -> None:
    answer = await ada.post("/api/v1/tasks", json={**ORDER, field: value})
    assert answer.status_code == 422
    assert [(error["pointer"], error["code"]) for error in answer.json()["errors"]] == [(f"/{field}", code)]


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("2020-01-01T00:00:00Z", datetime(2020, 1, 1, tzinfo=UTC)),
        ("2020-01-01T02:00:00.5+02:00", datetime(2020, 1, 1, 0, 0, 0, 500_000, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
        (None, None),
    ],
)
async def test_the_past_is_as_good_as_now(
    ada: AsyncClient, enqueue: Enqueue, sent: str | None, read: datetime | None
) -> None:
    assert (await ada.post("/api/v1/tasks", json={**ORDER, "run_at": sent})).status_code == 202
    assert enqueue.order
    assert enqueue.order.run_at == read


async def test_a_live_task_with_the_unique_key_is_the_answer(ada: AsyncClient, enqueue: Enqueue) -> None:
    enqueue.answer = Enqueued(TASK_ID, status=200)
    answer = await ada.post("/api/v1/tasks", json=ORDER)
    assert (answer.status_code, answer.content) == (200, VIEW)
    assert "idempotent-replayed" not in answer.headers
    assert answer.headers["etag"] == '"4"'


async def test_a_replay_is_the_task_as_it_is_now_with_the_first_status(
    ada: AsyncClient, enqueue: Enqueue, views: FakeViews
) -> None:
    enqueue.answer = Enqueued(TASK_ID, status=202, replayed=True)
    answer = await ada.post("/api/v1/tasks", json=ORDER, headers={"idempotency-key": "k"})
    assert (answer.status_code, answer.content) == (202, VIEW)
    assert answer.headers["idempotent-replayed"] == "true"
    assert answer.headers["location"] == f"/api/v1/tasks/{TASK_ID}"
    assert [task_id for _, task_id in views.asked] == [TASK_ID]


async def test_a_replay_of_what_is_gone_is_not_found(ada: AsyncClient, enqueue: Enqueue, views: FakeViews) -> None:
    enqueue.answer = Enqueued(TASK_ID, status=202, replayed=True)
    views.view = None
    assert (await ada.post("/api/v1/tasks", json=ORDER)).status_code == 404


async def test_an_idempotency_key_stands_for_caller_and_request(
    ada: AsyncClient, enqueue: Enqueue, fake: FakeContainer
) -> None:
    raw = json.dumps(ORDER, indent=3).encode()
    headers = {"idempotency-key": "k-1", "content-type": "application/json"}
    await ada.post("/api/v1/tasks", content=raw, headers=headers)
    assert enqueue.once.key == "k-1"
    assert enqueue.once.caller == f"user:{fake.authenticate.principal.user.id}"
    assert enqueue.once.fingerprint == hashlib.sha256(b"POST /api/v1/tasks\n" + raw).digest()


@pytest.mark.parametrize("key", [b"", b"x" * 129, b"a b", b"\xe9", b"a\tb"])
async def test_a_malformed_idempotency_key_is_told_where_it_stands(ada: AsyncClient, key: bytes) -> None:
    answer = await ada.post("/api/v1/tasks", json=ORDER, headers=[(b"idempotency-key", key)])
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_idempotency_key")
    assert answer.json()["errors"][0]["pointer"] == "header:Idempotency-Key"


async def test_a_task_is_sent_as_the_database_wrote_it(ada: AsyncClient, fake: FakeContainer, views: FakeViews) -> None:
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


async def test_dead_letters_are_for_those_who_manage_tasks(manager: AsyncClient) -> None:
    answer = await manager.get("/api/v1/dead-letters")
    assert (answer.status_code, answer.json()) == (200, {"items": [], "next_cursor": None})


async def test_others_are_told_that_a_permission_is_missing_before_their_cursor_is_looked_at(ada: AsyncClient) -> None:
    answer = await ada.get("/api/v1/dead-letters?cursor=forged")
    assert (answer.status_code, answer.json()["code"]) == (403, "permission_missing")


async def test_a_task_that_has_run_is_shown_with_its_error(ada: AsyncClient, enqueue: Enqueue) -> None:
    task = Task(
        id=TASK_ID,
        kind="a",
        payload={},
        requested_by=Requester(kind=ActorKind.SCHEDULE),
        status=TaskStatus.FAILED,
        error=TaskError(code="timeout", message="slow", retryable=True),
        progress={"current": 1, "total": 2, "message": "half"},
        run_at=WHEN,
        created_at=WHEN,
        finished_at=WHEN.astimezone(),
    )
    enqueue.answer = Enqueued(TASK_ID, task=task)
    shown = (await ada.post("/api/v1/tasks", json=ORDER)).json()
    assert shown["error"] == {"code": "timeout", "message": "slow", "retryable": True}
    assert shown["progress"] == {"current": 1, "total": 2, "message": "half"}
    assert shown["requested_by"] == {"kind": "schedule", "id": None}
    assert shown["finished_at"] == "2026-01-01T12:30:00.123456Z"
