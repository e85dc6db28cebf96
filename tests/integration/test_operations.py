"""What whoever runs Parlor sees at a glance, counted by PostgreSQL: true, bounded, and read from indexes."""

from datetime import UTC, datetime, timedelta

import pytest

from parlor.adapters.sql import operations
from parlor.adapters.sql.engine import Database
from parlor.adapters.sql.operations import SqlOperationsViews
from parlor.core.shared.actor import PermissionMissing
from parlor.core.shared.ids import TaskId, uuid7
from parlor.core.tasks.letters import ReplayDeadLetter
from parlor.core.tasks.model import MANAGE, Ending, Failed, Succeeded, Task, TaskError, TaskStatus
from parlor.core.tasks.operations import LISTED, MOST_COUNTED, Backlog, Live
from tests.builders import a_letter, a_session, a_task, a_user, an_actor
from tests.fakes.clock import NOON
from tests.sql import Sql

ADA, MANAGER = an_actor("tasks:create"), an_actor(MANAGE)
GONE = TaskError("gone", "It is gone.", retryable=False)
LOST = TaskError("worker_lost", "The worker was lost.", retryable=True)
LATER = datetime(2100, 1, 1, tzinfo=UTC)


@pytest.fixture
def sql(database: Database) -> Sql:
    return Sql(database)


@pytest.fixture
def shown(database: Database) -> SqlOperationsViews:
    return SqlOperationsViews(database)


async def claimed(sql: Sql, *tasks: Task) -> dict[TaskId, int]:
    """Have them run; answers their fences."""
    ids = await sql.enqueue(*tasks)
    await sql.clear_outbox()
    return {one.task_id: one.fence for one in await sql.runs.claim(ids, [])}


async def ended(sql: Sql, *endings: Ending) -> None:
    assert len(await sql.runs.finish(endings)) == len(endings)


async def failed(sql: Sql, task: Task, error: TaskError = GONE) -> TaskId:
    held = await claimed(sql, task)
    await ended(sql, Failed(task.id, held[task.id], error))
    return task.id


async def test_operations_are_for_managers(shown: SqlOperationsViews) -> None:
    for seen in (
        shown.numbers(ADA),
        shown.tasks(ADA, status=TaskStatus.FAILED, kind=None, limit=1),
        shown.letters(ADA, reason=None, limit=1),
    ):
        with pytest.raises(PermissionMissing):
            await seen


async def test_an_empty_parlor_has_sixty_minutes_of_nothing(shown: SqlOperationsViews) -> None:
    numbers = await shown.numbers(MANAGER)
    assert len(numbers.minutes) == 60
    assert numbers.minutes[-1].at <= numbers.at < numbers.minutes[-1].at + timedelta(minutes=1)
    assert numbers.live == Live(0, 0, 0, 0, 0)
    assert numbers.outboxes == dict.fromkeys(("tasks", "events", "replays"), Backlog(0, None))
    assert (list(numbers.kinds), numbers.letters, numbers.put_aside, numbers.lost) == ([], 0, 0, 0)
    assert 0 < numbers.database.connections <= numbers.database.most_connections


async def test_what_ends_is_counted_in_its_minute_and_for_its_kind(
    sql: Sql, shown: SqlOperationsViews
) -> None:
    """Also what ends between two readings; and what ended more than an hour ago is not."""
    old = await failed(sql, a_task())
    await sql.execute("update tasks set finished_at = finished_at - interval '61 min' where id = $1", old)
    await failed(sql, a_task(kind="film"), LOST)
    before = await shown.numbers(MANAGER)
    held = await claimed(sql, *(a_task() for _ in range(3)))
    await ended(sql, *(Succeeded(task_id, fence, "{}") for task_id, fence in held.items()))
    await sql.execute("update tasks set started_at = finished_at - interval '2 s' where status = 'succeeded'")
    after = await shown.numbers(MANAGER)
    assert sum(minute.succeeded for minute in before.minutes) == 0
    assert sum(minute.succeeded for minute in after.minutes[-2:]) == 3
    assert sum(minute.failed for minute in after.minutes[-2:]) == 1
    slowest, quickest = after.kinds
    assert (slowest.kind, slowest.ended, slowest.failed) == ("note", 3, 0)
    assert slowest.p50_s == pytest.approx(2, rel=0.06)
    assert (quickest.kind, quickest.ended, quickest.failed) == ("film", 1, 1)
    assert after.lost == 1


async def test_what_has_not_ended_is_counted_where_it_is(sql: Sql, shown: SqlOperationsViews) -> None:
    one, *_ = await claimed(sql, a_task(), a_task())
    await sql.lose_leases(one)
    held_back = a_task()
    await sql.enqueue(held_back, a_task(priority="high"), a_task(), a_task(run_at=LATER))
    await sql.execute("update tasks set queued_at = null where id = $1", held_back.id)
    numbers = await shown.numbers(MANAGER)
    assert numbers.live == Live(scheduled=1, queued=3, held_back=1, running=2, expired=1)
    assert numbers.unsent == {"high": 1, "default": 2, "low": 0}
    assert numbers.outboxes["tasks"].rows == 3


async def test_an_outbox_tells_how_long_its_oldest_row_waits(sql: Sql, shown: SqlOperationsViews) -> None:
    await failed(sql, a_task())  # which is an event
    await sql.enqueue(a_task(), a_task())
    await sql.execute(
        """update task_outbox set created_at = clock_timestamp() - interval '90 s'
            where id = (select min(id) from task_outbox)"""
    )
    await sql.execute("insert into outbox_failed (outbox, row) values ('task_outbox', '{}')")
    numbers = await shown.numbers(MANAGER)
    age = numbers.outboxes["tasks"].oldest_s
    assert age is not None
    assert 90 <= age < 200
    assert numbers.outboxes["events"].rows == 1
    assert numbers.put_aside == 1


async def test_dead_letters_count_until_they_are_replayed(sql: Sql, shown: SqlOperationsViews) -> None:
    kept = [a_letter(), a_letter(reason="unknown_kind", detail="There is no such kind.")]
    async with sql.work() as work:
        for letter in kept:
            await work.letters.add(letter)
    assert (await shown.numbers(MANAGER)).letters == 2
    unknown, _ = await shown.letters(MANAGER, reason=None, limit=9)
    assert (unknown.id, unknown.reason, unknown.message_id) == (kept[1].id, "unknown_kind", "order-7")
    assert await shown.letters(MANAGER, reason="unknown_kind", limit=9) == [unknown]
    assert await shown.letters(MANAGER, reason=None, limit=1) == [unknown]
    await ReplayDeadLetter(sql.work, clock=lambda: NOON)(MANAGER, unknown.id)
    assert (await shown.numbers(MANAGER)).letters == 1
    assert [line.id for line in await shown.letters(MANAGER, reason=None, limit=9)] == [kept[0].id]


async def test_who_was_here_lately_is_counted(sql: Sql, shown: SqlOperationsViews) -> None:
    """Two sessions of one person, and one that was last used two hours ago."""
    ada, bob = a_user(), a_user()
    now = datetime.now(UTC)
    async with sql.work() as work:
        await work.users.add(ada)
        await work.users.add(bob)
        for user, used in ((ada, now), (ada, now), (bob, now - timedelta(hours=2))):
            await work.sessions.add(user, a_session(user, last_used_at=used))
    company = (await shown.numbers(MANAGER)).company
    assert (company.users, company.sessions) == (1, 2)


async def test_messages_of_the_last_minutes_are_found_by_their_ids(
    sql: Sql, shown: SqlOperationsViews
) -> None:
    await sql.execute(
        "insert into chats select gen_random_uuid(), 'group', null, null, null, 1, now(), now(), null, 1"
    )
    await sql.execute("insert into chat_heads (chat_id, active_at) select id, now() from chats")
    added = """insert into messages (chat_id, seq, id, rev, kind, text, created_at)
               select id, $1::int, $2, $1::int, 'user', 'hello', now() from chats"""
    await sql.execute(added, 1, "01900000-0000-7000-8000-000000000000")  # of 2024
    for seq in (2, 3):
        await sql.execute(added, seq, uuid7())
    company = (await shown.numbers(MANAGER)).company
    assert (company.messages, company.chats) == (2, 1)


async def test_tasks_are_listed_with_what_became_of_them(sql: Sql, shown: SqlOperationsViews) -> None:
    """What failed newest first; what lives longest first; of a kind where one is named."""
    first, film = await failed(sql, a_task()), await failed(sql, a_task(kind="film"))
    held = list(await claimed(sql, a_task(), a_task()))
    await sql.lose_leases(held[1])

    async def listed(status: TaskStatus, kind: str | None = None, limit: int = 9) -> list[TaskId]:
        return [line.id for line in await shown.tasks(MANAGER, status=status, kind=kind, limit=limit)]

    assert await listed(TaskStatus.FAILED) == [film, first]
    assert await listed(TaskStatus.FAILED, limit=1) == [film]
    assert await listed(TaskStatus.FAILED, "note") == [first]
    assert await listed(TaskStatus.RUNNING, "film") == []
    waiting = await sql.enqueue(a_task(), a_task())
    assert await listed(TaskStatus.QUEUED) == waiting
    (line,) = await shown.tasks(MANAGER, status=TaskStatus.FAILED, kind="film", limit=9)
    assert (line.code, line.message, line.attempts, line.expired) == ("gone", "It is gone.", 1, False)
    running = await shown.tasks(MANAGER, status=TaskStatus.RUNNING, kind=None, limit=9)
    assert {line.id: line.expired for line in running} == {held[0]: False, held[1]: True}


async def test_the_oldest_open_transaction_is_seen(
    sql: Sql, shown: SqlOperationsViews, database: Database
) -> None:
    assert (await shown.numbers(MANAGER)).database.oldest_transaction_s is None
    async with database.session() as session, session.transaction():
        await session.execute("select pg_current_xact_id()")
        oldest = (await shown.numbers(MANAGER)).database.oldest_transaction_s
    assert oldest is not None
    assert oldest > 0


# Bounded


async def test_a_count_stops_at_its_bound(
    sql: Sql, shown: SqlOperationsViews, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "_PRESENT", operations._PRESENT.replace(str(MOST_COUNTED), "2"))
    await sql.enqueue(*(a_task() for _ in range(3)))
    numbers = await shown.numbers(MANAGER)
    assert (numbers.live.queued, numbers.outboxes["tasks"].rows) == (2, 2)


_FILL = """
insert into tasks (id, kind, status, payload, max_attempts, priority, run_at, timeout_s, requester_kind,
                   started_at, finished_at, queued_at, lease_until)
select gen_random_uuid(), 'note', status, '{}', 5, 'default', now(), 60, 'user',
       now() - make_interval(mins => n), case when status in ('succeeded', 'failed')
       then now() - make_interval(mins => n) end, now(), now()
  from generate_series(1, 40000) n, lateral (select case n % 1000 when 1 then 'failed' when 2 then 'queued'
       when 3 then 'running' when 4 then 'scheduled' else 'succeeded' end) as given (status)"""


async def test_nothing_walks_through_what_has_ended(sql: Sql) -> None:
    """However many tasks have ended, sessions are over and letters were replayed."""
    await sql.execute(_FILL)
    await sql.execute(
        """insert into dead_letters (id, reason, detail, headers, body, is_text, dead_at, replayed_at)
           select gen_random_uuid(), 'not_json', '', '{}', '', true, now() - make_interval(mins => n),
                  case when n > 9 then now() end from generate_series(1, 20000) n"""
    )
    ada = a_user()
    async with sql.work() as work:
        await work.users.add(ada)
    await sql.execute(
        """insert into sessions (id, user_id, created_at, last_used_at, expires_at, current)
           select gen_random_uuid(), $1, now(), now() - make_interval(mins => n), now(), ''
             from generate_series(1, 20000) n""",
        ada.id,
    )
    await sql.execute("analyze tasks, dead_letters, sessions")
    now = datetime.now(UTC)
    asked: list[tuple[str, tuple[object, ...]]] = [
        (operations._PRESENT, ()),
        (operations._ENDED, (now - timedelta(minutes=2), now)),
    ]
    asked += [(operations._TASKS[status], (None, 20)) for status in LISTED]
    asked += [(operations._LETTERS, (None, 20))]
    for statement, arguments in asked:
        plan = "\n".join(row["QUERY PLAN"] for row in await sql.rows("explain " + statement, *arguments))
        for table in ("tasks", "dead_letters", "sessions"):
            assert f"Seq Scan on {table}" not in plan, plan
        assert "rows=40000" not in plan, plan
