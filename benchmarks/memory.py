"""How much memory a worker holds after many tasks."""

from benchmarks.enqueue import somebody
from benchmarks.noop import Noop
from benchmarks.plan import Plan
from benchmarks.stage import Stage
from benchmarks.table import Measured, Operation, Row
from benchmarks.tasks import a_worker
from benchmarks.yard import a_yard

_ORDERED = f"""
with ordered as (
    insert into tasks (id, kind, status, payload, max_attempts, priority, run_at, timeout_s,
                       requester_kind, requester_id, user_id, queued_at)
    select gen_random_uuid(), '{Noop.kind}', 'queued', jsonb_build_object('number', number), 5, 'default',
           clock_timestamp(), 60, 'user', $2, $2, clock_timestamp()
      from generate_series(1, $1::int) as number
    returning id, priority, user_id)
insert into task_outbox (task_id, queue, requester) select id, priority, user_id from ordered"""


async def measure(stage: Stage, plan: Plan) -> list[Row]:
    """Look at one worker's memory after each so many tasks; the first of them warm it up."""
    steps = [plan.memory_step * number for number in range(1, plan.memory_steps + 1)]
    row = Row(
        Operation(
            f"a worker's memory after {steps[-1]:,} tasks", f"after {steps[0]:,}", "MiB", 1.1, at_most=True
        )
    )
    seen: dict[str, float] = {}
    async with a_yard(stage) as yard:
        with row.failing():
            async with a_worker(yard) as child:
                for done in steps:
                    await yard.clear()
                    await yard.database.execute(_ORDERED, plan.memory_step, somebody().user_id)
                    await yard.drained("tasks", plan.memory_step)
                    seen[f"{done:,}"] = child.resident_mib()
            first, *_, last = seen.values()
            row.add(Measured(first), Measured(last, seen))
    return [row]
