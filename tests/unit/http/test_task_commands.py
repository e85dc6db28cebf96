"""Cancelling, retrying and ordering many tasks over HTTP."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from httpx import AsyncClient

from parlor.core.shared.actor import Actor
from parlor.core.shared.errors import NotFound, ParlorError
from parlor.core.shared.ids import TaskId, uuid7
from parlor.core.tasks.model import Order, PayloadDropped, Priority, TaskEnded, TaskNotFailed
from parlor.core.tasks.use_cases import CancelTask, EnqueueBatch, EnqueuedBatch, RetryTask
from tests.fakes.container import FakeContainer
from tests.unit.http.task_fakes import ORDER, TASK_ID, VIEW, FakeViews

URL = f"/api/v1/tasks/{TASK_ID}"
BATCH = "/api/v1/tasks/batch"
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@dataclass
class Command:
    """Answers, or raises, what the test says."""

    answer: Any = None
    error: ParlorError | None = None
    asked: list[Any] = field(default_factory=list)

    async def __call__(self, *asked: Any, **fields: Any) -> Any:
        self.asked.append((*asked, fields) if fields else asked)
        if self.error is not None:
            raise self.error
        return self.answer


@pytest.fixture
def command(fake: FakeContainer) -> Command:
    """Stand for all three."""
    command = Command()
    fake.commands |= dict.fromkeys((CancelTask, RetryTask, EnqueueBatch), command)
    return command


@pytest.mark.parametrize(("ran", "status"), [(False, 200), (True, 202)])
async def test_a_cancel_says_whether_a_handler_is_being_stopped(
    ada: AsyncClient, command: Command, fake: FakeContainer, ran: bool, status: int
) -> None:
    command.answer = ran
    answer = await ada.post(f"{URL}/cancel")
    assert (answer.status_code, answer.content, answer.headers["etag"]) == (status, VIEW, '"4"')
    assert command.asked == [(fake.authenticate.principal.actor, TASK_ID)]


async def test_a_retry_is_accepted_and_shown(ada: AsyncClient, command: Command, fake: FakeContainer) -> None:
    answer = await ada.post(f"{URL}/retry")
    assert (answer.status_code, answer.content) == (202, VIEW)
    assert command.asked == [(fake.authenticate.principal.actor, TASK_ID)]


@pytest.mark.parametrize(
    ("route", "error", "status"),
    [
        ("cancel", TaskEnded, 409),
        ("cancel", NotFound, 404),
        ("retry", TaskNotFailed, 409),
        ("retry", PayloadDropped, 409),
        ("retry", NotFound, 404),
    ],
)
async def test_what_is_refused_has_its_code(
    ada: AsyncClient, command: Command, route: str, error: type[ParlorError], status: int
) -> None:
    command.error = error()
    answer = await ada.post(f"{URL}/{route}")
    assert (answer.status_code, answer.json()["code"]) == (status, error.code)


async def test_nobody_commands_without_a_credential(client: AsyncClient, command: Command) -> None:
    for route in (f"{URL}/cancel", f"{URL}/retry", BATCH):
        assert (await client.post(route)).status_code == 401
    assert command.asked == []


async def test_a_batch_is_answered_in_its_order(
    ada: AsyncClient, command: Command, views: FakeViews, fake: FakeContainer
) -> None:
    ids: Sequence[TaskId] = [TaskId(uuid7()), TaskId(uuid7())]
    command.answer = EnqueuedBatch(ids)
    sent = {"tasks": [ORDER, {**ORDER, "priority": "high"}]}
    answer = await ada.post(BATCH, json=sent, headers={"traceparent": TRACE})
    assert (answer.status_code, answer.json()) == (202, {"items": [{"id": 1}]})
    assert "idempotent-replayed" not in answer.headers
    actor: Actor = fake.authenticate.principal.actor
    payload = {"mode": "truth"}
    orders = [
        Order("truth_or_dare", payload, traceparent=TRACE),
        Order("truth_or_dare", payload, priority=Priority.HIGH, traceparent=TRACE),
    ]
    assert command.asked == [(actor, orders, {"once": None})]
    assert views.asked == [(actor, ids)]


async def test_a_repeated_batch_says_so(ada: AsyncClient, command: Command) -> None:
    command.answer = EnqueuedBatch([TASK_ID], replayed=True)
    answer = await ada.post(BATCH, json={"tasks": [ORDER]}, headers={"Idempotency-Key": "k"})
    assert (answer.status_code, answer.headers["idempotent-replayed"]) == (202, "true")
    assert command.asked[0][2]["once"].key == "k"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/tasks"),
        ({"tasks": []}, "/tasks"),
        ({"tasks": [ORDER, {"payload": {}}]}, "/tasks/1/kind"),
        ({"tasks": [{**ORDER, "max_attempts": 0}]}, "/tasks/0/max_attempts"),
        ({"tasks": [ORDER], "more": 1}, "/more"),
    ],
    ids=["nothing", "an empty one", "one without a kind", "one out of range", "an unknown field"],
)
async def test_a_flaw_of_a_batch_is_told_at_its_place(
    ada: AsyncClient, command: Command, body: dict[str, Any], pointer: str
) -> None:
    answer = await ada.post(BATCH, json=body)
    assert answer.status_code == 422
    assert [flaw["pointer"] for flaw in answer.json()["errors"]] == [pointer]
    assert command.asked == []


async def test_a_batch_holds_a_thousand_at_most(
    ada: AsyncClient, fake: FakeContainer, command: Command
) -> None:
    command.answer = EnqueuedBatch([TASK_ID])
    fake.settings = fake.settings.model_copy(update={"max_body_bytes": 1024 * 1024})
    answer = await ada.post(BATCH, json={"tasks": [{"kind": "a", "payload": {}}] * 100})
    assert answer.status_code == 202
    answer = await ada.post(BATCH, json={"tasks": [0] * 1001})
    assert [flaw["pointer"] for flaw in answer.json()["errors"]] == ["/tasks"]


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"content-encoding": "gzip"}, b"x", 415),
        ({}, b"x" * 5000, 413),
        ({"content-type": "text/plain"}, b"not looked at", 200),
    ],
    ids=["encoded", "too large", "of any type"],
)
async def test_a_body_that_a_command_has_no_use_for_is_read_all_the_same(
    ada: AsyncClient, command: Command, headers: dict[str, str], body: bytes, status: int
) -> None:
    """So that one which is refused changes nothing."""
    answer = await ada.post(f"{URL}/cancel", content=body, headers=headers)
    assert answer.status_code == status
    assert bool(command.asked) == (status == 200)
