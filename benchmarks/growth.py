"""Whether a table that has grown makes anything slower: the same work beside few ended tasks, and beside many."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg

from benchmarks.enqueue import somebody
from benchmarks.noop import Noop, make_container
from benchmarks.plan import Plan
from benchmarks.producing import AT_ONCE
from benchmarks.stage import PARLOR, Stage
from benchmarks.table import Measured, Operation, Row
from parlor.container import Container
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
# Ids that rise with time, as ours do: random ones would spread over the whole index.
_ID = """(lpad(to_hex((extract(epoch from moment) * 1000)::bigint), 12, '0') || '7'
          || left(md5(number::text), 3) || '8' || substr(md5(number::text), 4, 15))::uuid"""
_ENDED = f"""
insert into tasks (id, kind, status, payload, result, attempts, max_attempts, priority, run_at, timeout_s,
                   requester_kind, requester_id, user_id, created_at, started_at, finished_at, fence, version)
select {_ID}, 'truth_or_dare', case number % 20 when 0 then 'failed' else 'succeeded' end,
       '{{"mode": "any", "language": "en", "rating": "family"}}',
       '{{"mode": "dare", "text": "Sing the first song that comes to mind.", "language": "en",
         "rating": "family", "source": "deck", "prompt_id": "en-f-d-012"}}',
       1, 5, 'default', moment, 60, 'user', {_OWNER.format("number")}, {_OWNER.format("number")},
       moment, moment, moment, 1, 3
  from generate_series(1, $1::int) as number,
       lateral (select clock_timestamp() - make_interval(secs => ($1::int - number) * 0.5) as moment) at"""


@dataclass(frozen=True, slots=True)
class Sized:
    """A database with so many ended tasks, as processes of ours see it."""

    container: Container
    connection: "asyncpg.Connection[Any]"

    async def enqueue(self, count: int) -> float:
        """Order tasks, a transaction each, 16 at once."""
        enqueue, actor = self.container.command(EnqueueTask), somebody()

        async def some(numbers: range) -> None:
            for number in numbers:
                await enqueue(actor, Order(kind=Noop.kind, payload={"number": number}))

        return await _rate(
            count, asyncio.gather(*(some(range(start, count, AT_ONCE)) for start in range(AT_ONCE)))
        )

    async def carry_out(self, count: int) -> float:
        """Take what was ordered out of the outbox, claim and finish it, as relay and worker do, without a broker."""
        return await _rate(count, self._carry_out())

    async def pages(self, count: int) -> float:
        """List the newest 50 tasks of everybody, and of one owner, in turn."""
        views = self.container.get(TaskViews)
        owner = UserId(await self.connection.fetchval("select user_id from tasks limit 1"))
        viewers = [
            Actor(ActorKind.USER, owner, owner),
            Actor(ActorKind.USER, owner, owner, frozenset({"tasks:manage"})),
        ]

        async def look() -> None:
            for number in range(count):
                await views.page(viewers[number % 2], PageRequest(limit=50), status=None, kind=None)

        return await _rate(count, look())

    async def _carry_out(self) -> None:
        runs, outboxes = self.container.get(Runs), self.container.get(Outboxes)
        due: list[TaskId] = []

        async def send(rows: Sequence[DueTask]) -> Sequence[Receipt]:
            due.extend(row.task_id for row in rows)
            return [Receipt.TAKEN] * len(rows)

        while await outboxes.relay_tasks("default", IN_A_GO, send):
            attempts = await runs.claim(due, [])
            await runs.finish([Succeeded(one.task_id, one.fence, '{"echo": 1}') for one in attempts])
            due.clear()


async def _rate(count: int, work: Awaitable[object]) -> float:
    began = time.perf_counter()
    await work
    return count / (time.perf_counter() - began)


async def measure(stage: Stage, plan: Plan) -> list[Row]:
    """Take turns between both sizes."""
    floor = f"with {plan.few_ended:,} ended tasks"
    name = f"{{0}} with {plan.many_ended:,} ended tasks"
    measures: dict[str, Callable[[Sized], Awaitable[float]]] = {
        "enqueue": lambda sized: sized.enqueue(plan.grown_tasks),
        "relay, claim and finish": lambda sized: sized.carry_out(plan.grown_tasks),
        "list a page": lambda sized: sized.pages(PAGES),
    }
    rows = {what: Row(Operation(name.format(what), floor, "a second", 0.9)) for what in measures}
    async with AsyncExitStack() as stack:
        few = await stack.enter_async_context(_sized(stage, "few", plan.few_ended))
        many = await stack.enter_async_context(_sized(stage, "many", plan.many_ended))
        for number in range(-1, 2 * plan.rounds):
            both = [few, many][:: 1 if number % 2 == 0 else -1]
            for what, work in measures.items():
                with rows[what].failing():
                    found = {sized: Measured(await work(sized)) for sized in both}
                    if number >= 0:  # what comes before is for warming up
                        rows[what].add(found[few], found[many])
    return list(rows.values())


@asynccontextmanager
async def _sized(stage: Stage, name: str, ended: int) -> AsyncIterator[Sized]:
    database = f"growth_{name}"
    superuser = await asyncpg.connect(stage.superuser)
    owner = await superuser.fetchval(
        "select datdba::regrole::text from pg_database where datname = current_database()"
    )
    await superuser.execute(f"create database {database} owner {owner}")
    await superuser.close()
    here = stage.with_database(database)
    await here.run(PARLOR, "migrate")
    connection = await asyncpg.connect(here.database)
    container = make_container(here.settings)
    await container.start()
    try:
        await connection.execute(_ENDED, ended, OWNERS, timeout=600)
        await connection.execute("vacuum analyze", timeout=600)
        yield Sized(container, connection)
    finally:
        await container.close()
        await connection.close()
