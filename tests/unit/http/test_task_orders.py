"""Ordering tasks over HTTP."""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from httpx import AsyncClient

from parlor.core.shared.actor import ActorKind
from parlor.core.tasks.model import Order, Priority, Requester, Task, TaskError, TaskStatus
from parlor.core.tasks.use_cases import Enqueued
from tests.fakes.container import WHEN, FakeContainer
from tests.unit.http.task_fakes import ORDER, TASK_ID, VIEW, Enqueue, FakeViews


async def test_a_new_task_is_accepted_and_shown(
    ada: AsyncClient, fake: FakeContainer, views: FakeViews
) -> None:
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
    said = {
        "priority": "low",
        "max_attempts": 1,
        "timeout_s": 86_400,
        "unique_key": "k",
        "run_at": soon.isoformat(),
    }
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
        ("run_at", "1969-12-31T23:59:59Z", "too_long_ago"),
        ("run_at", "0001-01-01T00:00:00Z", "too_long_ago"),
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
        ("1970-01-01T00:00:00Z", datetime(1970, 1, 1, tzinfo=UTC)),
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


async def test_a_replay_of_what_is_gone_is_not_found(
    ada: AsyncClient, enqueue: Enqueue, views: FakeViews
) -> None:
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
