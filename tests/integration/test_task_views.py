"""Tasks as readers see them: who sees which, page by page, in the bytes that go out."""

import json
import re
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from parlor.adapters.sql import views
from parlor.adapters.sql.engine import Database
from parlor.adapters.sql.views import SqlTaskViews
from parlor.core.shared.actor import SYSTEM, Actor, ActorKind
from parlor.core.shared.errors import NotFound
from parlor.core.shared.ids import TaskId, uuid7
from parlor.core.shared.paging import Key, PageRequest
from parlor.core.tasks.model import (
    MANAGE,
    Failed,
    Progress,
    Requester,
    Succeeded,
    TaskError,
    TaskStatus,
)
from tests.builders import a_task, an_actor
from tests.sql import Sql

MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
ADA, BOB = an_actor(), an_actor()
ADAS_KEY = Actor(ActorKind.API_KEY, id=uuid7(), user_id=ADA.user_id)
ADAS_KEY_ALONE = Actor(ActorKind.API_KEY, id=ADAS_KEY.id)
SERVICE = Actor(ActorKind.API_KEY, id=uuid7())
OTHER_SERVICE = Actor(ActorKind.API_KEY, id=uuid7())
MANAGER = an_actor(MANAGE)
PRODUCER = Actor(ActorKind.PRODUCER)


@pytest.fixture
def sql(database: Database) -> Sql:
    return Sql(database)


@pytest.fixture
def shown(database: Database) -> SqlTaskViews:
    return SqlTaskViews(database)


async def ordered_by(sql: Sql, actor: Actor, **fields: object) -> TaskId:
    (task_id,) = await sql.enqueue(a_task(requested_by=Requester.of(actor), **fields))
    return task_id


async def page(
    shown: SqlTaskViews,
    viewer: Actor,
    *,
    limit: int = 50,
    after: Key | None = None,
    status: TaskStatus | None = None,
    kind: str | None = None,
) -> tuple[list[UUID], Key | None]:
    answer = await shown.page(viewer, PageRequest(limit, after), status=status, kind=kind)
    return [UUID(item["id"]) for item in json.loads(answer.items)], answer.next_key


async def one(shown: SqlTaskViews, viewer: Actor, task_id: TaskId) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(await shown.one(viewer, task_id))
    return answer


async def test_a_page_shows_what_has_changed_since_the_last_one(sql: Sql, shown: SqlTaskViews) -> None:
    """What is kept of the first page is no answer to the second."""
    for _ in range(3):
        await ordered_by(sql, ADA)
    first = await shown.page(ADA, PageRequest(), status=None, kind=None)
    (attempt,) = await sql.runs.claim([TaskId(UUID(json.loads(first.items)[1]["id"]))], [])
    second = await shown.page(ADA, PageRequest(), status=None, kind=None)
    assert [row["status"] for row in json.loads(second.items)] == ["queued", "running", "queued"]
    await sql.execute("delete from tasks where id = $1", attempt.task_id)
    assert len((await page(shown, ADA))[0]) == 2


async def test_a_row_that_goes_while_its_page_is_read_is_left_out(
    sql: Sql, shown: SqlTaskViews, monkeypatch: pytest.MonkeyPatch
) -> None:
    stays, _ = await ordered_by(sql, ADA), await ordered_by(sql, ADA)
    monkeypatch.setattr(views, "_BY_KEY", f"{views._BY_KEY} and id = '{stays}'")
    assert (await page(shown, ADA))[0] == [stays]


# Who sees what


@pytest.mark.parametrize(
    ("requester", "viewers"),
    [
        (ADA, [ADA, ADAS_KEY, MANAGER]),
        (ADAS_KEY, [ADA, ADAS_KEY, MANAGER]),
        (SERVICE, [SERVICE, MANAGER]),
        (PRODUCER, [MANAGER]),
        (SYSTEM, [MANAGER]),
    ],
)
async def test_a_task_is_seen_by_its_own_and_by_managers(
    sql: Sql, shown: SqlTaskViews, requester: Actor, viewers: list[Actor]
) -> None:
    """Its person, who asked itself where there is no person, and who manages tasks; each way of looking agrees."""
    task_id = await ordered_by(sql, requester)
    for viewer in (ADA, ADAS_KEY, ADAS_KEY_ALONE, BOB, SERVICE, OTHER_SERVICE, MANAGER, PRODUCER, SYSTEM):
        listed, _ = await page(shown, viewer)
        if viewer in viewers:
            assert (await one(shown, viewer, task_id))["id"] == str(task_id)
            assert await shown.ended(viewer, task_id) is False
            assert listed == [task_id]
        else:
            for look in (shown.one, shown.ended):
                with pytest.raises(NotFound):
                    await look(viewer, task_id)
            assert listed == []


async def test_an_absent_task_is_not_found(shown: SqlTaskViews) -> None:
    with pytest.raises(NotFound):
        await shown.one(MANAGER, TaskId(uuid7()))


# What is shown


async def test_a_fresh_task_is_shown_with_every_field(sql: Sql, shown: SqlTaskViews) -> None:
    run_at = datetime(2100, 1, 1, 12, 30, 0, 5, tzinfo=UTC)
    task_id = await ordered_by(sql, ADA, run_at=run_at, timeout_s=9, max_attempts=3)
    answer = await one(shown, ADA, task_id)
    assert MOMENT.fullmatch(answer.pop("created_at"))
    assert answer == {
        "id": str(task_id),
        "kind": "note",
        "status": "scheduled",
        "payload": {"text": "hello"},
        "result": None,
        "error": None,
        "attempts": 0,
        "max_attempts": 3,
        "priority": "default",
        "progress": None,
        "run_at": "2100-01-01T12:30:00.000005Z",
        "timeout_s": 9,
        "requested_by": {"kind": "user", "id": str(ADA.id)},
        "started_at": None,
        "finished_at": None,
        "schedule_id": None,
        "version": 1,
    }


async def test_an_ended_task_is_shown_with_its_times_in_utc(sql: Sql, shown: SqlTaskViews) -> None:
    task_id = await ordered_by(sql, ADA)
    (attempt,) = await sql.runs.claim([task_id], [])
    await sql.runs.report({task_id: (attempt.fence, Progress(1, 2, "half"))})
    await sql.runs.finish([Succeeded(task_id, attempt.fence, '{"text": "done"}')])
    answer = await one(shown, ADA, task_id)
    assert (answer["status"], answer["result"], answer["attempts"]) == ("succeeded", {"text": "done"}, 1)
    assert answer["progress"] == {"current": 1, "total": 2, "message": "half"}
    for name in ("created_at", "run_at", "started_at", "finished_at"):
        assert MOMENT.fullmatch(answer[name])
    assert await shown.ended(ADA, task_id) is True


async def test_a_failure_is_shown_with_its_reason(sql: Sql, shown: SqlTaskViews) -> None:
    task_id = await ordered_by(sql, ADA)
    (attempt,) = await sql.runs.claim([task_id], [])
    await sql.runs.finish([Failed(task_id, attempt.fence, TaskError("gone", "It is gone.", retryable=False))])
    answer = await one(shown, ADA, task_id)
    assert answer["error"] == {"code": "gone", "message": "It is gone.", "retryable": False}


async def test_secrets_are_never_shown(sql: Sql, shown: SqlTaskViews) -> None:
    task_id = await ordered_by(sql, ADA, secrets={"password": "hunter2"})
    seen = [await shown.one(MANAGER, task_id)]
    seen.append((await shown.page(MANAGER, PageRequest(), status=None, kind=None)).items)
    assert not any(b"hunter2" in bytes_ or b"secrets" in bytes_ for bytes_ in seen)


# Pages


async def test_pages_go_from_the_newest_to_the_oldest(sql: Sql, shown: SqlTaskViews) -> None:
    ids = [await ordered_by(sql, ADA) for _ in range(5)][::-1]
    await ordered_by(sql, BOB)
    first, key = await page(shown, ADA, limit=2)
    second, key = await page(shown, ADA, limit=2, after=key)
    third, end = await page(shown, ADA, limit=2, after=key)
    assert [*first, *second, *third] == ids
    assert end is None


async def test_a_page_that_is_just_full_is_the_last(sql: Sql, shown: SqlTaskViews) -> None:
    ids = [await ordered_by(sql, ADA) for _ in range(2)][::-1]
    assert await page(shown, ADA, limit=2) == (ids, None)


async def test_an_empty_page_is_an_empty_list(shown: SqlTaskViews) -> None:
    answer = await shown.page(ADA, PageRequest(), status=None, kind=None)
    assert (answer.items, answer.next_key) == (b"[]", None)


async def test_pages_stand_still_while_tasks_are_added(sql: Sql, shown: SqlTaskViews) -> None:
    """What is added between two pages is on neither, and nothing is skipped or comes twice."""
    ids = [await ordered_by(sql, ADA) for _ in range(6)][::-1]
    seen, key = await page(shown, ADA, limit=2)
    while key is not None:
        await ordered_by(sql, ADA)
        more, key = await page(shown, ADA, limit=2, after=key)
        seen += more
    assert seen == ids


async def test_tasks_of_one_moment_are_divided_by_their_ids(sql: Sql, shown: SqlTaskViews) -> None:
    """A batch has one `created_at`."""
    tasks = [a_task(requested_by=Requester.of(ADA)) for _ in range(5)]
    ids = sorted(await sql.enqueue(*tasks), reverse=True)
    assert await sql.value("select count(distinct created_at) from tasks") == 1
    first, key = await page(shown, ADA, limit=3)
    second, _ = await page(shown, ADA, limit=3, after=key)
    assert [*first, *second] == ids


async def test_pages_are_narrowed_by_status_and_kind(sql: Sql, shown: SqlTaskViews) -> None:
    note, other = await ordered_by(sql, ADA), await ordered_by(sql, ADA, kind="other")
    await sql.runs.claim([other], [])
    assert await page(shown, ADA, status=TaskStatus.RUNNING) == ([other], None)
    assert await page(shown, ADA, kind="note") == ([note], None)
    assert await page(shown, ADA, kind="note", status=TaskStatus.RUNNING) == ([], None)
    assert await page(shown, MANAGER, kind="other", status=TaskStatus.RUNNING) == ([other], None)


async def test_a_narrowed_page_has_a_next_one(sql: Sql, shown: SqlTaskViews) -> None:
    ids = []
    for _ in range(3):
        ids.append(await ordered_by(sql, ADA))
        await ordered_by(sql, ADA, kind="other")
    first, key = await page(shown, ADA, limit=2, kind="note")
    second, end = await page(shown, ADA, limit=2, kind="note", after=key)
    assert [*first, *second] == ids[::-1]
    assert end is None


@pytest.mark.parametrize("after", [None, (datetime.now(UTC).isoformat(), str(uuid7()))])
async def test_a_page_is_read_from_an_index_in_its_order(sql: Sql, after: Key | None) -> None:
    """Page 1,000 costs what page 1 costs: no sort, no filter over others' tasks."""
    await sql.execute(
        """insert into tasks (id, kind, status, payload, max_attempts, priority, run_at, timeout_s,
                              requester_kind, requester_id, user_id, created_at)
           select gen_random_uuid(), 'note', 'succeeded', '{}', 5, 'default', now(), 60, 'user',
                  case n % 100 when 0 then $1::uuid else gen_random_uuid() end,
                  case n % 100 when 1 then $2::uuid end, now() - make_interval(secs => n)
             from generate_series(1, 40000) n""",
        SERVICE.id,
        ADA.user_id,
    )
    await sql.execute("analyze tasks")
    expected = [(ADA, "ix_tasks_owner"), (SERVICE, "ix_tasks_requester"), (MANAGER, "ix_tasks_created")]
    for viewer, index in expected:
        statement, arguments = views._page_of_tasks(viewer, PageRequest(50, after), None, None)
        plan = "\n".join(row["QUERY PLAN"] for row in await sql.rows("explain " + statement, *arguments))
        assert f"Index Scan using {index}" in plan
        assert "Sort" not in plan
        assert "Filter" not in plan
