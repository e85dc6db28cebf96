"""Tasks beside few ended ones, and beside many."""

import asyncio
from collections.abc import Sequence
from typing import Any

import asyncpg

from benchmarks.enqueue import somebody
from benchmarks.noop import Noop
from benchmarks.plan import Plan
from benchmarks.producing import AT_ONCE
from benchmarks.sized import PATIENCE_S, RISING_ID, Growth, Sized, compare, rate
from benchmarks.stage import Stage
from benchmarks.table import Row
from parlor.core.shared.actor import Actor, ActorKind
from parlor.core.shared.bus import DueTask, Outboxes, Receipt
from parlor.core.shared.ids import TaskId, UserId
from parlor.core.shared.paging import PageRequest
from parlor.core.tasks.model import Order, Succeeded
from parlor.core.tasks.ports import Runs, TaskViews
from parlor.core.tasks.use_cases import EnqueueTask

OWNERS = 100
IN_A_GO = 250
PAGES = 400
_OWNER = "('00000000-0000-7000-8000-' || lpad(to_hex({0} % $2), 12, '0'))::uuid"
_ENDED = f"""
insert into tasks (id, kind, status, payload, result, attempts, max_attempts, priority, run_at, timeout_s,
                   requester_kind, requester_id, user_id, created_at, started_at, finished_at, fence, version)
select {RISING_ID}, 'truth_or_dare', case number % 20 when 0 then 'failed' else 'succeeded' end,
       '{{"mode": "any", "language": "en", "rating": "family"}}',
       '{{"mode": "dare", "text": "Sing the first song that comes to mind.", "language": "en",
         "rating": "family", "source": "deck", "prompt_id": "en-f-d-012"}}',
       1, 5, 'default', moment, 60, 'user', {_OWNER.format("number")}, {_OWNER.format("number")},
       moment, moment, moment, 1, 3
  from generate_series(1, $1::int) as number,
       lateral (select clock_timestamp() - make_interval(secs => ($1::int - number) * 0.5) as moment) at"""


async def measure(stage: Stage, plan: Plan) -> list[Row]:
    """Take turns between both sizes."""
    measures = {
        "enqueue": lambda sized: _enqueue(sized, plan.grown_tasks),
        "relay, claim and finish": lambda sized: rate(plan.grown_tasks, _carry_out(sized)),
        "list a page": lambda sized: _pages(sized, PAGES),
    }
    return await compare(stage, plan, Growth("ended tasks", plan.ended, _fill), measures)


async def _fill(connection: "asyncpg.Connection[Any]", ended: int) -> None:
    await connection.execute(_ENDED, ended, OWNERS, timeout=PATIENCE_S)


async def _enqueue(sized: Sized, count: int) -> float:
    """Order tasks, a transaction each, 16 at once."""
    enqueue, actor = sized.container.command(EnqueueTask), somebody()

    async def some(numbers: range) -> None:
        for number in numbers:
            await enqueue(actor, Order(kind=Noop.kind, payload={"number": number}))

    return await rate(
        count, asyncio.gather(*(some(range(start, count, AT_ONCE)) for start in range(AT_ONCE)))
    )


async def _pages(sized: Sized, count: int) -> float:
    """List the newest 50 tasks of everybody, and of one owner, in turn."""
    views = sized.container.get(TaskViews)
    owner = UserId(await sized.connection.fetchval("select user_id from tasks limit 1"))
    viewers = [
        Actor(ActorKind.USER, owner, owner),
        Actor(ActorKind.USER, owner, owner, frozenset({"tasks:manage"})),
    ]

    async def look() -> None:
        for number in range(count):
            await views.page(viewers[number % 2], PageRequest(limit=50), status=None, kind=None)

    return await rate(count, look())


async def _carry_out(sized: Sized) -> None:
    """Take what was ordered out of the outbox, claim and finish it, as relay and worker do, without a broker."""
    runs, outboxes = sized.container.get(Runs), sized.container.get(Outboxes)
    due: list[TaskId] = []

    async def send(rows: Sequence[DueTask]) -> Sequence[Receipt]:
        due.extend(row.task_id for row in rows)
        return [Receipt.TAKEN] * len(rows)

    while await outboxes.relay_tasks("default", IN_A_GO, send):
        attempts = await runs.claim(due, [])
        await runs.finish([Succeeded(one.task_id, one.fence, '{"echo": 1}') for one in attempts])
        due.clear()
