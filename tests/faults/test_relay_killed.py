"""`kill -9` of the relay between the broker's confirm and its own commit: all of it is sent again, and ends once."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from tests.faults.score import Score, rounds
from tests.faults.services import cards, pile_up
from tests.fleet import Fleet
from tests.waiting import eventually

TASKS_A_ROUND = 50
OUTBOXES = {"task_outbox": 1, "event_outbox": 2}
# Confirmed rows are deleted before the commit. There the database itself makes the relay wait, for as long as we want.
HOLD = """
create function hold() returns trigger language plpgsql as
$$ begin perform pg_advisory_xact_lock(tg_argv[0]::int); return null; end $$;
"""
HELD = "create trigger hold before delete on {0} for each statement execute function hold({1});"
WAITS = """
select count(*) = 1 from pg_stat_activity
 where datname = current_database() and wait_event = 'advisory' and query like 'delete from {0}%'"""


async def test_what_a_relay_could_not_commit_is_sent_again_and_ends_once(
    fleet: Fleet, scored: Callable[[Fleet, str], Score]
) -> None:
    """Once for messages that the broker has and the outbox too, once for events."""
    await fleet.worker("--no-relay")
    score = scored(fleet, "`kill -9` of the relay between confirm and commit")
    async with fleet.database() as database, fleet.database() as onlooker:
        await database.execute(HOLD + "".join(HELD.format(*each) for each in OUTBOXES.items()))
        relay = await fleet.relay()
        for outbox in [*OUTBOXES] * rounds(5):
            async with held(database, outbox):
                score.sent += await pile_up(fleet, cards(TASKS_A_ROUND))
                await eventually(asked(onlooker, WAITS.format(outbox)))
                relay.kill()
                score.struck()
            await eventually(asked(onlooker, f"select not ({WAITS.format(outbox)})"))
            assert await onlooker.fetchval(f"select count(*) from {outbox}") > 0
            relay = await fleet.relay()
            score.replaced()
        assert (await score.settle()).clean


@asynccontextmanager
async def held(database: Any, outbox: str) -> AsyncIterator[None]:
    """Keep relays from deleting anything there."""
    await database.execute("select pg_advisory_lock($1)", OUTBOXES[outbox])
    try:
        yield
    finally:
        await database.execute("select pg_advisory_unlock($1)", OUTBOXES[outbox])


def asked(database: Any, question: str) -> Callable[[], Awaitable[bool]]:
    async def ask() -> bool:
        return bool(await database.fetchval(question))

    return ask
