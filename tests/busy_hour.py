"""An hour of a service that has something to do, for pictures of the operations page."""

import json
import math
import random

from tests.builders import a_letter
from tests.sql import Sql

# Of each kind: how long it takes (s), what share of it fails, how many end a minute, and the error.
KINDS = {
    "http_request": (0.35, 0.03, 18, "http_status_503", "https://shop.example.org/hooks answered 503."),
    "truth_or_dare": (0.004, 0.0, 30, "", ""),
    "render_video": (22.0, 0.06, 2, "worker_lost", "The worker was lost during attempt 5."),
    "send_invoice": (1.2, 0.01, 6, "timeout", "The attempt took longer than 60 s."),
    "resize_image": (0.4, 0.005, 14, "timeout", "The attempt took longer than 60 s."),
}
BAD_MINUTES = range(22, 27)  # ago, in which what is asked for over the network fails
_ENDED = """
insert into tasks (id, kind, status, payload, attempts, max_attempts, priority, run_at, timeout_s, requester_kind,
                   created_at, started_at, finished_at, error)
select gen_random_uuid(), kind, status, '{}', case status when 'failed' then 5 else 1 end, 5, 'default', ended, 60,
       'producer', ended - lasted, ended - lasted, ended, error
  from json_to_recordset($1::json) as given (kind text, status text, ago float8, took float8, error jsonb),
       lateral (select now() - make_interval(secs => ago), make_interval(secs => took)) as at (ended, lasted)"""
_LIVE = """
insert into tasks (id, kind, status, payload, attempts, max_attempts, priority, run_at, timeout_s, requester_kind,
                   queued_at, started_at, lease_until)
select gen_random_uuid(), kind, status, '{}', case status when 'running' then 1 else 0 end, 5, priority,
       now() + case status when 'scheduled' then interval '7 min' else interval '0' end, 60, 'producer',
       case status when 'queued' then now() - make_interval(secs => n) end,
       case status when 'running' then now() - make_interval(secs => n * 3) end,
       case status when 'running' then now() + make_interval(secs => 40 - n * 4) end
  from generate_series(1, 74) n, lateral (
    select case n % 3 when 0 then 'render_video' when 1 then 'send_invoice' else 'http_request' end,
           case when n < 12 then 'running' when n < 60 then 'queued' else 'scheduled' end,
           case n % 4 when 0 then 'high' when 1 then 'low' else 'default' end) as given (kind, status, priority)"""
_UNSENT = """
insert into task_outbox (task_id, queue, requester, created_at)
select id, priority, '00000000-0000-0000-0000-000000000000', queued_at from tasks
 where status = 'queued' order by queued_at limit 21"""


async def busy_hour(sql: Sql) -> None:
    """Make it."""
    await sql.execute(_ENDED, json.dumps(_ended(random.Random(3))))
    await sql.execute(_LIVE)
    await sql.execute(_UNSENT)
    async with sql.work() as work:
        await work.letters.add(a_letter(reason="invalid_payload", detail="/payload/amount: at least 0.01."))


async def a_little_work(sql: Sql) -> None:
    """Have some of what waits end."""
    await sql.execute(
        """update tasks set status = 'succeeded', started_at = now() - interval '1 s', finished_at = now()
            where id in (select id from tasks where status = 'queued' order by random() limit 2)"""
    )


def _ended(chance: random.Random) -> list[dict[str, object]]:
    return [task for ago in range(60) for kind in KINDS for task in _minute(chance, ago, kind)]


def _minute(chance: random.Random, ago: int, kind: str) -> list[dict[str, object]]:
    took, fails, rate, code, message = KINDS[kind]
    if ago in BAD_MINUTES and kind in {"http_request", "resize_image"}:
        fails = 0.6
    made: list[dict[str, object]] = []
    for _ in range(round(rate * (1 + 0.5 * math.sin(ago / 7)) * chance.uniform(0.6, 1.4))):
        failed, cancelled = chance.random() < fails, chance.random() < 0.01
        status = "failed" if failed else "cancelled" if cancelled else "succeeded"
        error = {"code": code, "message": message, "retryable": True} if failed else None
        at, lasted = ago * 60 + chance.random() * 59, took * chance.lognormvariate(0, 0.6)
        made.append({"kind": kind, "status": status, "ago": at, "took": lasted, "error": error})
    return made
