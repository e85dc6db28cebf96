"""Claims, leases and ends of runs: each batch is one statement, so that every recovery is one too."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import orjson
from asyncpg import Record

from parlor.adapters.sql.ends import told
from parlor.adapters.sql.engine import Database
from parlor.adapters.sql.held_back import HOLD_BACK, claim_held_back, claim_next
from parlor.adapters.sql.tasks import GIVEN, NOBODY, PRIORITIES, STORED, UNLESS_WAITING, requester, written
from parlor.adapters.sql.work import Hints, Reactions, SqlWork
from parlor.core.identity.ports import UserChanges
from parlor.core.shared.errors import Contended
from parlor.core.shared.ids import TaskId
from parlor.core.tasks.model import LONG_S, Attempt, Ending, Failed, Postponed, Progress, Succeeded, Task
from parlor.core.tasks.ports import FinishingWork

_ATTEMPT = """t.id, kind, payload || coalesce(secrets, '{}') as payload, attempts, max_attempts, timeout_s, fence,
    priority, requester_kind, requester_id, user_id, traceparent"""


def _claimed(ids: str, lease: str) -> str:
    return f"""
due as materialized (
    select id from tasks where id = any({ids}::uuid[]) and status = 'queued' and queued_at is not null
     order by id for no key update),
claimed as (
    update tasks t
       set status = 'running', attempts = attempts + 1, fence = fence + 1, version = version + 1,
           queued_at = null, started_at = coalesce(started_at, clock_timestamp()),
           lease_until = clock_timestamp() + make_interval(secs => {lease})
      from due where t.id = due.id
    returning {_ATTEMPT})"""


def _lazily(claimed: str) -> str:
    """Let the commit not wait for the disk where all can afford to lose this claim in a crash of the database.

    Those have another attempt left, and a message that is acknowledged after their end only. See ADR 10.
    """
    return f"""(select set_config('synchronous_commit', case when bool_and(is_safe) then 'off'
                           else current_setting('synchronous_commit') end, true) from ({claimed}) claims)"""


_SAFE = f"attempts < max_attempts and timeout_s <= {LONG_S} as is_safe"
_CLAIM = f"""
with {_claimed(ids="$1", lease="$2")}
select claimed.*, {_lazily(f"select {_SAFE} from claimed")} from claimed"""
# What has a row already is not born but claimed; of what is born only the id comes back, since the rest is at hand.
# A row that appears while this runs is its maker's to claim.
_CLAIM_AND_BIRTH = f"""
with given as ({GIVEN}), clock as materialized (select clock_timestamp() as moment),
born as ({STORED}
    case state when 'now' then 'running' when 'held back' then 'queued' else 'scheduled' end, null,
    case state when 'now' then moment end,
    case state when 'now' then 1 else 0 end,
    case state when 'now' then 1 else 0 end,
    case state when 'now' then moment + make_interval(secs => $2) end
    from given, clock, lateral (
        select case when run_at > moment then 'later' when kind = any($4::text[]) then 'held back' else 'now' end
    ) as judged (state)
    on conflict (id) do nothing
    returning id, status, attempts, max_attempts, timeout_s),
{_claimed(ids="$3", lease="$2")},
judged as (
    select {_SAFE} from claimed union all select status = 'running' and {_SAFE} from born)
select *, {_lazily("select is_safe from judged")} from (
    select * from claimed
    union all
    select id, null, null, null, null, null, null, null, null, null, null, null from born where status = 'running'
) started"""
_CLAIM_HELD_BACK = claim_held_back(_ATTEMPT)
_RENEW = """
update tasks t set lease_until = clock_timestamp() + make_interval(secs => $3)
  from unnest($1::uuid[], $2::bigint[]) as held (id, fence)
 where t.id = held.id and t.fence = held.fence and t.status = 'running'
returning t.id"""
_REPORT = """
update tasks t set progress = news.progress::jsonb, version = version + 1
  from unnest($1::uuid[], $2::bigint[], $3::text[]) as news (id, fence, progress)
 where t.id = news.id and t.fence = news.fence and t.status = 'running'"""
_FINISH = f"""
with ended as (
    update tasks t
       set status = e.status, result = e.result, error = e.error, version = version + 1,
           lease_until = null, losses = 0,
           run_at = case e.status when 'scheduled' then clock_timestamp() + make_interval(secs => e.delay)
                    else run_at end,
           finished_at = case e.status when 'scheduled' then null else clock_timestamp() end,
           secrets = case e.status when 'scheduled' then secrets end
      from json_to_recordset($1::json)
           as e (id uuid, fence bigint, status text, result jsonb, error jsonb, delay float8)
     where t.id = e.id and t.fence = e.fence and t.status = 'running'
    returning t.id, t.kind, t.status, t.version, t.traceparent, t.error),
told as ({told("ended")})
select id from ended"""
_GIVE_BACK = f"""
with back as (
    update tasks t
       set status = 'queued', attempts = attempts - 1, version = version + 1, lease_until = null,
           queued_at = clock_timestamp()
      from unnest($1::uuid[], $2::bigint[]) as held (id, fence)
     where t.id = held.id and t.fence = held.fence and t.status = 'running'
    returning t.*)
insert into task_outbox (task_id, queue, requester, traceparent)
select id, priority, coalesce(user_id, requester_id, {NOBODY}), traceparent from back
{UNLESS_WAITING}"""

TRIES = 3


class SqlRuns:
    """Port `Runs`."""

    def __init__(
        self,
        database: Database,
        *,
        lease_s: float,
        changes: UserChanges,
        hints: Hints,
        reactions: Reactions,
        limits: Mapping[str, int],
    ) -> None:
        self._database = database
        self._lease_s = lease_s
        self._changes = changes
        self._hints = hints
        self._reactions = reactions
        self._limits = limits

    async def claim(self, known: Sequence[TaskId], born: Sequence[Task]) -> list[Attempt]:
        """Insert what has no row yet, claim what has one and waits."""
        limited = list(self._limits)
        if limited:
            await self._rows(HOLD_BACK, [*known, *(task.id for task in born)], limited)
        if not born:
            return [_attempt(row) for row in await self._rows(_CLAIM, known, self._lease_s)]
        by_id = {task.id: task for task in sorted(born, key=lambda task: task.id)}
        arguments = written(list(by_id.values())), self._lease_s, [*known, *by_id], limited
        rows = await self._rows(_CLAIM_AND_BIRTH, *arguments)
        return [Attempt.first(by_id[row["id"]]) if row["fence"] is None else _attempt(row) for row in rows]

    async def claim_held_back(self, most: int) -> list[Attempt]:
        """Claim what there is room for by now."""
        async with self._database.session() as session, session.transaction():
            rows = await claim_next(session, _CLAIM_HELD_BACK, self._limits, self._lease_s, most)
        return [_attempt(row) for row in rows]

    async def renew(self, held: Mapping[TaskId, int]) -> set[TaskId]:
        """Extend the leases that are still ours."""
        ids = sorted(held)
        rows = await self._rows(_RENEW, ids, [held[task_id] for task_id in ids], self._lease_s)
        return {TaskId(row["id"]) for row in rows}

    async def report(self, news: Mapping[TaskId, tuple[int, Progress]]) -> None:
        """Store the newest progress of each."""
        ids = sorted(news)
        written = [_progress(news[task_id][1]) for task_id in ids]
        await self._rows(_REPORT, ids, [news[task_id][0] for task_id in ids], written)

    async def finish(self, endings: Sequence[Ending]) -> set[TaskId]:
        """Store the ends whose fence still holds."""
        rows = await self._rows(_FINISH, _ends(endings))
        self._hints.facts_due()
        return {TaskId(row["id"]) for row in rows}

    async def give_back(self, held: Mapping[TaskId, int]) -> None:
        """Queue them again, the attempt unspent."""
        ids = sorted(held)
        await self._rows(_GIVE_BACK, ids, [held[task_id] for task_id in ids])
        self._hints.tasks_due()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[FinishingWork]:
        """Open a work that can end its own task."""
        async with SqlFinishingWork(self._database, self._changes, self._hints, self._reactions) as work:
            yield work

    async def _rows(self, sql: str, *arguments: object) -> list[Record]:
        """Run one statement; two batches that locked the same rows in another order make one of them try again."""
        for left in reversed(range(TRIES)):
            try:
                async with self._database.session() as session:
                    return await session.fetch(sql, *arguments)
            except Contended:
                if not left:
                    raise
        raise AssertionError("unreachable")


class SqlFinishingWork(SqlWork):
    """A handler's own transaction."""

    async def finish(self, ending: Ending) -> bool:
        """End the task in this transaction, if its fence still holds."""
        rows = await (await self.session()).fetch(_FINISH, _ends([ending]))
        self._wrote_facts = True
        return bool(rows)


def _ends(endings: Sequence[Ending]) -> str:
    return orjson.dumps([_end(each) for each in sorted(endings, key=lambda ending: ending.task_id)]).decode()


def _end(ending: Ending) -> dict[str, object]:
    ends = {"id": ending.task_id, "fence": ending.fence}
    match ending:
        case Succeeded(result=result):
            return {**ends, "status": "succeeded", "result": orjson.Fragment(result)}
        case Failed(error=error):
            return {**ends, "status": "failed", "error": error}
        case Postponed(error=error, delay=delay):
            return {**ends, "status": "scheduled", "error": error, "delay": delay.total_seconds()}


def _progress(progress: Progress) -> str:
    return orjson.dumps(progress).decode()


def _attempt(row: Record) -> Attempt:
    return Attempt(
        task_id=TaskId(row["id"]),
        kind=row["kind"],
        payload=row["payload"],
        attempt=row["attempts"],
        max_attempts=row["max_attempts"],
        timeout_s=row["timeout_s"],
        fence=row["fence"],
        priority=PRIORITIES[row["priority"]],
        requested_by=requester(row),
        traceparent=row["traceparent"],
    )
