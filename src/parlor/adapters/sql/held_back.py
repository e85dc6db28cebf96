"""Kinds of which only so many may run at once: what comes is held back in its row, and claimed when there is room.

A queued row without `queued_at` is held back: no message stands for it, and none is needed, since workers claim it
straight from the table, requesters in turn. So a limited kind never fills a queue that others wait in.
"""

from collections.abc import Mapping, Sequence

from asyncpg import Record

from parlor.adapters.sql.driver import PooledConnection
from parlor.adapters.sql.tables import RANK, REQUESTER
from parlor.adapters.sql.tasks import UNLESS_WAITING

REQUESTERS_A_TURN = 500

HELD_BACK = "status = 'queued' and queued_at is null"

HOLD_BACK = """
update tasks set queued_at = null
 where id in (select id from tasks where id = any($1) and kind = any($2) and status = 'queued' order by id
                 for no key update)"""
# Held until the commit, and taken in a statement of its own: the next one sees what the last holder has claimed.
_LOCK = "select pg_advisory_xact_lock(hashtext('parlor.kinds'), hashtext($1))"
_WAITING_KINDS = f"""
select kind, most from unnest($1::text[], $2::int[]) as limited (kind, most)
 where exists (select from tasks t where t.kind = limited.kind and {HELD_BACK}) order by kind"""


def claim_held_back(attempt: str) -> str:
    """Write the claim of the next of a kind, as far as there is room; `attempt` is what it answers of each."""
    return f"""
with recursive waiting as (
    (select {REQUESTER} as requester from tasks where kind = $1 and {HELD_BACK} order by 1 limit 1)
    union all
    select (select {REQUESTER} from tasks
             where kind = $1 and {HELD_BACK} and {REQUESTER} > w.requester order by 1 limit 1)
      from waiting w where w.requester is not null),
room as (
    select least($4::bigint, $2 - (select count(*) from tasks where kind = $1 and status = 'running')) as free),
turns as materialized (
    select requester from waiting where requester is not null order by random() limit {REQUESTERS_A_TURN}),
oldest as materialized (
    select one.id, one.rank, row_number() over (partition by requester order by rank, created_at, id) as turn,
           one.created_at
      from room, turns cross join lateral (
        select id, {RANK} as rank, created_at from tasks
         where kind = $1 and {HELD_BACK} and {REQUESTER} = turns.requester
         order by {RANK}, created_at, id limit greatest(room.free, 0)) one),
next as materialized (
    select id from oldest order by rank, turn, created_at, id limit greatest((select free from room), 0)),
due as materialized (
    select id from tasks where id in (select id from next) and {HELD_BACK} order by id for no key update)
update tasks t
   set status = 'running', attempts = attempts + 1, fence = fence + 1, version = version + 1,
       started_at = coalesce(started_at, clock_timestamp()),
       lease_until = clock_timestamp() + make_interval(secs => $3)
  from due where t.id = due.id
returning {attempt}"""


_SET_FREE = f"""
with free as (
    update tasks set queued_at = clock_timestamp()
     where id in (select id from tasks where {HELD_BACK} and kind <> all($1) limit 1000 for no key update skip locked)
    returning *),
sent as (
    insert into task_outbox (task_id, queue, requester, traceparent)
    select id, priority, {REQUESTER}, traceparent from free {UNLESS_WAITING})
select count(*) from free"""


async def claim_next(
    session: PooledConnection, claim: str, limits: Mapping[str, int], lease_s: float, most: int
) -> list[Record]:
    """Claim at most so many of what is held back, kind by kind, each under its lock until the commit."""
    claimed: list[Record] = []
    for kind in await session.fetch(_WAITING_KINDS, list(limits), list(limits.values())):
        if len(claimed) < most:
            await session.execute(_LOCK, kind["kind"])
            claimed += await session.fetch(claim, kind["kind"], kind["most"], lease_s, most - len(claimed))
    return claimed


async def set_free(session: PooledConnection, kinds: Sequence[str]) -> int:
    """Queue again what is held back although its kind has no limit any more; answers how many."""
    freed: int = await session.fetchval(_SET_FREE, kinds)
    return freed
