"""What steps happen on: the database, the broker's messages, all claims there ever were, and the rules about them."""

import asyncio
import json
from collections import Counter
from collections.abc import Coroutine, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis.stateful import RuleBasedStateMachine, invariant

from parlor.adapters.sql.views import SqlTaskViews
from parlor.core.shared.ids import TaskId
from parlor.core.shared.paging import MAX_LIMIT, PageRequest
from parlor.core.tasks.model import (
    MANAGE,
    Attempt,
    Ending,
    Failed,
    Postponed,
    Priority,
    Succeeded,
    Task,
    TaskError,
)
from tests.builders import a_task, an_actor
from tests.properties.expected import Expected, agree
from tests.sql import Sql

ERROR = TaskError("broken", "It broke.", retryable=True)
AHEAD = timedelta(hours=1)
MANAGER = an_actor(MANAGE)
ALL_IDLE = frozenset[str](Priority)
LIMITS = {"scarce": 2}
BECOME_DUE = """
update tasks set run_at = clock_timestamp(), version = version + 1 where id = any($1) and status = 'scheduled'"""


class Stage(RuleBasedStateMachine):
    """Compares the database with the rules after each step, and ends every task from wherever the last one led.

    `broker` counts the messages that are on their way; `lost` are tasks whose message a broker forgot.
    """

    def __init__(self, sql: Sql, runner: asyncio.Runner) -> None:
        super().__init__()
        self.sql = sql
        self._runner = runner
        self.views = SqlTaskViews(sql.database)
        self.tasks: dict[TaskId, Expected] = {}
        self.broker: Counter[TaskId] = Counter()
        self.lost: set[TaskId] = set()
        self.claims: list[Attempt] = []
        self.does(sql.execute("truncate tasks, task_outbox, event_outbox"))

    def does(self, call: Coroutine[Any, Any, Any]) -> Any:
        return self._runner.run(call)

    def task(self, which: int) -> Expected:
        return list(self.tasks.values())[which % len(self.tasks)]

    def claim(self, which: int) -> Attempt:
        """Choose among all claims that any worker ever made: it may still believe in its own."""
        return self.claims[which % len(self.claims)]

    def take(self, known: Sequence[TaskId], born: Sequence[Task]) -> None:
        """Let a worker claim what it was dealt; what is of a kind with a limit is held back instead."""
        dealt = [self.tasks[task_id] for task_id in {*known, *(task.id for task in born)}]
        waiting = [task for task in dealt if task.status == "queued" and not task.is_held_back]
        for task in waiting:
            task.is_held_back = task.kind in LIMITS
        attempts = self.does(self.sql.runs.claim(known, born))
        assert {each.task_id for each in attempts} == {task.id for task in waiting if not task.is_held_back}
        self.begin(attempts)

    def begin(self, attempts: Sequence[Attempt]) -> None:
        assert len({attempt.task_id for attempt in attempts}) == len(attempts)
        for attempt in attempts:
            task = self.tasks[attempt.task_id]
            task.claimed(attempt.fence)
            assert attempt.attempt == task.attempts
        self.claims += attempts

    @invariant()
    def every_row_is_what_the_rules_say(self) -> None:
        rows = self.does(self.sql.rows("select * from tasks"))
        agree(self.tasks, rows, self.does(self.sql.facts()))

    @invariant()
    def a_page_shows_every_row_as_it_is(self) -> None:
        page = self.does(self.views.page(MANAGER, PageRequest(MAX_LIMIT), status=None, kind=None))
        ids = [TaskId(UUID(row["id"])) for row in json.loads(page.items)]
        assert set(ids) == set(self.tasks) or len(ids) == MAX_LIMIT
        assert json.loads(page.items) == json.loads(self.does(self.views.some(MANAGER, ids)))

    @invariant()
    def no_kind_runs_more_often_than_it_may(self) -> None:
        running = Counter(task.kind for task in self.tasks.values() if task.status == "running")
        assert all(running[kind] <= most for kind, most in LIMITS.items())

    @invariant()
    def what_is_queued_is_on_its_way(self) -> None:
        waiting = self.does(self.sql.outbox())
        assert len(waiting) == len(set(waiting))
        on_their_way = {*waiting, *+self.broker, *self.lost}
        needed = {
            task.id for task in self.tasks.values() if task.status == "queued" and not task.is_held_back
        }
        assert needed <= on_their_way

    def teardown(self) -> None:
        """From wherever it has come to, two rounds of timers, relay and worker end every task.

        The second is for the messages that were lost: they are sent again when nothing else waits.
        """
        for _ in range(2):
            self.does(self._round())
        assert not {"scheduled", "queued", "running"} & set(self.does(self.sql.statuses()).values())

    async def _round(self) -> None:
        await self.sql.lose_leases(*self.tasks)
        await self.sql.execute(BECOME_DUE, list(self.tasks))
        await self.sql.upkeep.release_due()
        await self.sql.upkeep.reap(ALL_IDLE, unclaimed_s=0)
        sent = await self.sql.outbox()
        await self.sql.clear_outbox()
        attempts = await self.sql.runs.claim([*sent, *+self.broker], [])
        for _ in range(len(self.tasks) + 1):
            if attempts:
                await self.sql.runs.finish([an_ending(each, "succeeded") for each in attempts])
            attempts = await self.sql.runs.claim_held_back(len(self.tasks) or 1)


def a_new(*, ahead: bool, **fields: Any) -> Task:
    return a_task(run_at=datetime.now(UTC) + AHEAD if ahead else None, **fields)


def an_ending(claim: Attempt, how: str) -> Ending:
    match how:
        case "succeeded":
            return Succeeded(claim.task_id, claim.fence, "{}")
        case "failed":
            return Failed(claim.task_id, claim.fence, ERROR)
        case _:
            return Postponed(
                claim.task_id, claim.fence, ERROR, timedelta(0) if how == "again at once" else AHEAD
            )
