"""What any worker does for all of them: due tasks, lost leases, lost messages, old rows. One statement each."""

from collections.abc import Mapping
from datetime import timedelta

from parlor.adapters.sql import api_keys, history, idempotency, mail_tokens, message_age, tickets
from parlor.adapters.sql.chats import FORGET_CHATS, FORGET_MESSAGES
from parlor.adapters.sql.ends import told
from parlor.adapters.sql.engine import Database
from parlor.adapters.sql.held_back import set_free
from parlor.adapters.sql.parties import FORGET_INVITATIONS
from parlor.adapters.sql.tasks import NOBODY, UNLESS_WAITING
from parlor.adapters.sql.work import Hints
from parlor.core.tasks.ports import Reaped

BATCH = 1000
MOST_LOSSES = 5

_OUTBOX = f"""
    insert into task_outbox (task_id, queue, requester, traceparent)
    select id, priority, coalesce(user_id, requester_id, {NOBODY}), traceparent"""
# A row that a relay is sending just now stays locked until that relay is done, or has been found dead: its task is left
# for a later round, and holds up none of the others.
_UNSENT = """
unsent as materialized (
    select task_id from task_outbox where task_id in (select id from found) for update skip locked),
{0} as (
    select found.* from found
     where id in (select task_id from unsent) or not exists (select from task_outbox o where o.task_id = found.id))"""
_RELEASE = f"""
with found as materialized (
    select id from tasks where status = 'scheduled' and run_at <= clock_timestamp()
     order by run_at limit {BATCH} for no key update skip locked),
{_UNSENT.format("due")},
released as (
    update tasks t set status = 'queued', queued_at = clock_timestamp(), version = version + 1
      from due where t.id = due.id returning t.*),
sent as ({_OUTBOX} from released {UNLESS_WAITING})
select count(*) from released"""
_LOST_ERROR = """jsonb_build_object('code', 'worker_lost', 'retryable', true,
    'message', 'The worker was lost during attempt ' || t.attempts || '.')"""
_REAP = f"""
with found as materialized (
    select id, attempts >= max_attempts or losses + 1 >= {MOST_LOSSES} as hopeless
      from tasks where status = 'running' and lease_until < clock_timestamp()
     order by lease_until limit {BATCH} for no key update skip locked),
{_UNSENT.format("lost")},
reaped as (
    update tasks t
       set status = case when hopeless then 'failed' else 'queued' end, losses = losses + 1, lease_until = null,
           version = version + 1,
           error = case when hopeless then {_LOST_ERROR} else error end,
           secrets = case when hopeless then null else secrets end,
           finished_at = case when hopeless then clock_timestamp() end,
           queued_at = case when hopeless then null else clock_timestamp() end
      from lost where t.id = lost.id returning t.*),
sent as ({_OUTBOX} from reaped where status = 'queued' {UNLESS_WAITING}),
told as ({told("reaped")})
select count(*) filter (where status = 'queued') as put_back, count(*) filter (where status = 'failed') as given_up
  from reaped"""

# While an outbox still holds rows of a queue, what waits there is late, not lost; that also keeps this query from
# walking a long backlog.
_REPUBLISH = f"""
with lost as materialized (
    select t.id from tasks t
     where t.status = 'queued' and t.queued_at < clock_timestamp() - make_interval(secs => $2)
       and t.priority = any($1::text[])
       and not exists (select from task_outbox o where o.queue = t.priority)
     order by t.queued_at limit {BATCH} for no key update skip locked),
again as (
    update tasks t set queued_at = clock_timestamp() from lost where t.id = lost.id returning t.*),
sent as ({_OUTBOX} from again {UNLESS_WAITING})
select count(*) from again"""
_FORGET = f"""
delete from tasks where id in (
    select id from tasks where finished_at < clock_timestamp() - $1::interval
     order by finished_at limit {BATCH} for update skip locked)"""
_FORGET_LETTERS = f"""
delete from dead_letters where id in (
    select id from dead_letters where dead_at < clock_timestamp() - $1::interval
     order by dead_at, id limit {BATCH} for update skip locked)"""
# Tokens first: a session may have thousands. Those of a session that lives stay, since even the oldest one tells of a
# theft when it is shown again.
_OVER = "coalesce(s.ended_at, s.expires_at) < clock_timestamp() - $1::interval"
_FORGET_REFRESH_TOKENS = f"""
delete from refresh_tokens where fingerprint = any(array(
    select t.fingerprint from sessions s join refresh_tokens t on t.session_id = s.id
     where {_OVER} limit {BATCH}))"""
_FORGET_SESSIONS = f"""
delete from sessions where id = any(array(
    select id from sessions s
     where {_OVER} and not exists (select from refresh_tokens t where t.session_id = s.id)
     order by coalesce(s.ended_at, s.expires_at) limit {BATCH} for update skip locked))"""


class SqlUpkeep:
    """Port `Upkeep`. Every method may run in many workers at once."""

    def __init__(self, database: Database, hints: Hints, limits: Mapping[str, int]) -> None:
        self._database = database
        self._hints = hints
        self._limited = list(limits)

    async def release_due(self) -> int:
        """Queue what is due, and what was held back for a limit that is no more."""
        async with self._database.session() as session:
            released: int = await session.fetchval(_RELEASE)
            released += await set_free(session, self._limited)
        if released:
            self._hints.tasks_due()
        return released

    async def reap(self, idle_queues: frozenset[str], *, unclaimed_s: float = 60) -> Reaped:
        """Put lost leases back, publish lost messages again."""
        async with self._database.session() as session:
            row = await session.fetchrow(_REAP)
            assert row is not None
            republished = (
                await session.fetchval(_REPUBLISH, sorted(idle_queues), unclaimed_s) if idle_queues else 0
            )
        if row["put_back"] or republished:
            self._hints.tasks_due()
        return Reaped(put_back=row["put_back"], given_up=row["given_up"], republished=republished)

    async def forget_ended(self, keep: timedelta) -> int:
        """Delete a batch of old tasks, and of other rows whose time is over: each table says when."""
        others = (
            idempotency.FORGET,
            tickets.FORGET,
            mail_tokens.FORGET,
            api_keys.FORGET,
            FORGET_INVITATIONS,
            FORGET_MESSAGES,
            FORGET_CHATS,
        )
        async with self._database.session() as session:
            deleted = [await session.execute(_FORGET, keep)]
            deleted += [await session.execute(old) for old in others]
        return sum(map(_count, deleted))

    async def forget_sessions(self, keep: timedelta) -> int:
        """Delete a batch of the tokens of sessions that are over, and of those that have none left."""
        async with self._database.session() as session:
            deleted = [await session.execute(old, keep) for old in (_FORGET_REFRESH_TOKENS, _FORGET_SESSIONS)]
        return sum(map(_count, deleted))

    async def forget_letters(self, keep: timedelta) -> int:
        """Delete a batch of old dead letters."""
        async with self._database.session() as session:
            return _count(await session.execute(_FORGET_LETTERS, keep))

    async def forget_logins(self, keep: timedelta) -> int:
        """Delete a batch of old lines."""
        async with self._database.session() as session:
            return _count(await session.execute(history.FORGET, keep))

    async def forget_messages(self, keep: timedelta) -> int:
        """Delete a batch of old messages, and move the beginning of their chats."""
        async with self._database.session() as session:
            return _count(await session.execute(message_age.FORGET, keep))


def _count(status: str) -> int:
    return int(status.rpartition(" ")[2])
