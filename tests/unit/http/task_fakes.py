"""What stands behind the task routes in tests."""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from parlor.core.shared.actor import Actor
from parlor.core.shared.errors import NotFound
from parlor.core.shared.ids import TaskId
from parlor.core.shared.paging import Page, PageRequest
from parlor.core.tasks.model import Order, Requester, Task, TaskStatus
from parlor.core.tasks.use_cases import Enqueued
from tests.fakes.container import WHEN

TASK_ID = TaskId(UUID("01900000-0000-7000-8000-00000000007a"))
VIEW = b'{"id": "x", "result": {"version": 9}, "version" : 4}'
ORDER = {"kind": "truth_or_dare", "payload": {"mode": "truth"}}


@dataclass
class FakeViews:
    """One task, and pages that end when the test says so."""

    view: bytes | None = VIEW
    following: tuple[str, ...] | None = None
    asked: list[Any] = field(default_factory=list)
    runs: int = 0

    async def one(self, viewer: Actor, task_id: TaskId) -> bytes:
        self.asked.append((viewer, task_id))
        if self.view is None:
            raise NotFound
        return self.view

    async def some(self, viewer: Actor, task_ids: Sequence[TaskId]) -> bytes:
        self.asked.append((viewer, task_ids))
        return b'[{"id": 1}]'

    async def page(
        self, viewer: Actor, page: PageRequest, *, status: TaskStatus | None, kind: str | None
    ) -> Page[bytes]:
        self.asked.append((viewer, page, status, kind))
        return Page(b'[{"id": 1}]', self.following)

    async def ended(self, _viewer: Actor, _task_id: TaskId) -> bool:
        self.runs -= 1
        if self.view is None:
            raise NotFound
        return self.runs < 0


class HintedEnds:
    """Every wait is hinted at once."""

    def expect(self, _task_id: TaskId) -> AbstractContextManager[asyncio.Event]:
        hint = asyncio.Event()
        hint.set()
        return nullcontext(hint)


class FakePayloads:
    """Describes any kind."""

    def describe(self, kind: str) -> tuple[dict[str, object], dict[str, object]]:
        return {"title": f"payload of {kind}"}, {"title": f"result of {kind}"}


@dataclass
class FakeHandler:
    kind: str
    permission: str | None


@dataclass
class Enqueue:
    """Answers with what the test says; without it, with a new task."""

    answer: Enqueued | None = None
    actor: Actor | None = None
    order: Order | None = None
    once: Any = None

    async def __call__(self, actor: Actor, order: Order, *, once: Any) -> Enqueued:
        self.actor, self.order, self.once = actor, order, once
        if self.answer is not None:
            return self.answer
        task = Task.ordered(TASK_ID, order, Requester.of(actor))
        task.created_at = WHEN
        task.run_at = task.run_at or WHEN
        task.secrets = {"headers": "hidden"}
        return Enqueued(TASK_ID, task=task)
