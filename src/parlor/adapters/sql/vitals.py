"""What the database tells about what waits in it, and about itself: one statement, of bounded cost."""

from collections.abc import Mapping

from asyncpg import Record

from parlor.adapters.sql.engine import Database
from parlor.core.shared.meters import OTHER, Labels, Level, Meters
from parlor.core.tasks.reasons import Reason

MOST = 10_000
REASONS = frozenset(reason.value for reason in Reason)

# Each part looks at MOST rows of an index at the most, however many there are. The oldest of an outbox is the first by
# id; connections of other users show no `xact_start` to those who may not see it.
_LOOK = f"""
select 'outbox_rows' what, 'tasks' one, '' other, (select count(*) from (
        select from task_outbox limit {MOST}) o)::float8 as value
union all select 'outbox_rows', 'events', '', (select count(*) from (select from event_outbox limit {MOST}) o)
union all select 'outbox_rows', 'replays', '', (select count(*) from (select from replay_outbox limit {MOST}) o)
union all select 'outbox_age', 'tasks', '', coalesce((
        select extract(epoch from clock_timestamp() - created_at) from task_outbox order by id limit 1), 0)
union all select 'outbox_age', 'events', '', coalesce((
        select extract(epoch from clock_timestamp() - happened_at) from event_outbox order by id limit 1), 0)
union all select 'outbox_age', 'replays', '', coalesce((
        select extract(epoch from clock_timestamp() - created_at) from replay_outbox order by id limit 1), 0)
union all select 'failed', '', '', (select count(*) from (select from outbox_failed limit {MOST}) o)
union all select 'tasks', s.status, p.priority, coalesce(known.waiting, 0)
  from unnest(array['scheduled', 'queued', 'running']) s (status)
 cross join unnest(array['high', 'default', 'low']) p (priority)
  left join (
        (select 'scheduled' as status, priority, count(*) as waiting from (
            select priority from tasks where status = 'scheduled' order by run_at limit {MOST}) t group by 2)
        union all (select 'queued', priority, count(*) from (
            select priority from tasks where status = 'queued' order by queued_at limit {MOST}) t group by 2)
        union all (select 'running', priority, count(*) from (
            select priority from tasks where status = 'running' order by lease_until limit {MOST}) t group by 2)
        ) known on known.status = s.status and known.priority = p.priority
union all select 'queued_age', '', '', coalesce((
        select extract(epoch from clock_timestamp() - queued_at) from tasks
         where status = 'queued' and queued_at is not null order by queued_at limit 1), 0)
union all select 'letters', reason, '', count(*) from (
        select reason from dead_letters where replayed_at is null order by dead_at desc limit {MOST}) l group by reason
union all select 'transaction_age', '', '', coalesce(extract(epoch from clock_timestamp() - min(xact_start)), 0)
  from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
   and backend_type = 'client backend'
union all select 'connections', '', '', count(*) from pg_stat_activity where backend_type = 'client backend'
union all select 'connections_most', '', '', current_setting('max_connections')::float8"""


class SqlVitals:
    """A survey of the database, shown on levels of its own."""

    def __init__(self, database: Database, meters: Meters) -> None:
        self._database = database
        upto = f"{MOST:,} at most are counted"
        self._levels: Mapping[str, Level] = {
            "outbox_rows": meters.level(
                "parlor_outbox_rows", f"Rows that wait to be published; {upto}.", "outbox"
            ),
            "outbox_age": meters.level(
                "parlor_outbox_oldest_seconds",
                "How long the oldest row has waited to be published.",
                "outbox",
            ),
            "failed": meters.level(
                "parlor_outbox_failed_rows", f"Rows put aside, because the broker refuses them; {upto}."
            ),
            "tasks": meters.level(
                "parlor_tasks", f"Tasks that have not ended; {upto} of each status.", "status", "priority"
            ),
            "queued_age": meters.level(
                "parlor_tasks_oldest_queued_seconds",
                "How long the oldest task that is due has waited for a worker.",
            ),
            "letters": meters.level(
                "parlor_dead_letters", f"Dead letters that were not sent again; {upto}.", "reason"
            ),
            "transaction_age": meters.level(
                "parlor_database_oldest_transaction_seconds",
                "Age of the oldest open transaction in this database.",
            ),
            "connections": meters.level(
                "parlor_database_connections", "Connections to the PostgreSQL server, of all its clients."
            ),
            "connections_most": meters.level(
                "parlor_database_connections_most", "Connections that the PostgreSQL server allows."
            ),
        }
        meters.asks("database", self.ask, *self._levels.values())

    async def ask(self) -> None:
        """Look; raises what `Database.session` does."""
        async with self._database.session() as session:
            rows = await session.fetch(_LOOK)
        found: dict[str, dict[Labels, float]] = {what: {} for what in self._levels}
        found["letters"] = {(reason,): 0.0 for reason in REASONS}  # so that the first of a kind is a rise
        for row in rows:
            values = found[row["what"]]
            values[_labels(row)] = values.get(_labels(row), 0.0) + row["value"]
        for what, level in self._levels.items():
            level.show(found[what])


def _labels(row: Record) -> Labels:
    if row["what"] == "letters" and row["one"] not in REASONS:
        return (OTHER,)  # a producer can write what it likes
    return tuple(word for word in (row["one"], row["other"]) if word)
