"""Traces as a collector gets them: from the request through the outbox and RabbitMQ into the handler, and on."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio

from parlor.core.shared.tracing import trace_id
from tests.e2e.test_contract import Called, Heard, a_service, hearing, publish
from tests.fleet import PASSWORD, Fleet, Process, a_fleet, signed_in
from tests.servers.session import shared_url
from tests.traces import CollectorForTests, Told, a_collector
from tests.waiting import eventually
from tests.wire import a_wire

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEY = "parlor_boot_very-secret-key-of-a-service"
CARD = json.dumps({"kind": "truth_or_dare", "payload": {}}).encode()


@dataclass(frozen=True, slots=True)
class Traced:
    """An API process and a worker that send their spans here."""

    fleet: Fleet
    api: Process
    worker: Process
    collector: CollectorForTests
    called: Called

    async def one(self, name: str, **facts: object) -> Told:
        """Wait for a span, the only one that is so."""
        await eventually(lambda: bool(self.collector.named(name, **facts)))
        (span,) = self.collector.named(name, **facts)
        return span


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def traced(tmp_path_factory: pytest.TempPathFactory, template: str) -> AsyncIterator[Traced]:
    servers = (shared_url("postgres"), shared_url("redis"), shared_url("rabbitmq"))
    folder: Path = tmp_path_factory.mktemp("traces")
    async with a_collector() as collector, a_service() as called:
        settings = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_SERVICE_NAME": "party-time",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "PARLOR_TRACE_SQL": "true",
            "PARLOR_HTTP_ALLOW": f"127.0.0.1:{called.port}",
            "PARLOR_BOOTSTRAP_API_KEY": f"{KEY}=tasks:create,tasks:create:http_request",
            "PARLOR_MAIL_DIR": str(folder / "mail"),
        }
        async with a_fleet(*servers, folder, template=template, **settings) as fleet:
            api, worker = await asyncio.gather(fleet.serve(), fleet.worker())
            yield Traced(fleet, api, worker, collector, called)


def trace_told(events: Heard, task_id: str) -> str:
    """Wait for what subscribers hear of this task's end."""
    while True:
        ((_, properties, body),) = events.next()
        if json.loads(body)["task_id"] == task_id:
            return str(properties.headers["traceparent"])


async def test_one_trace_goes_from_the_request_through_the_broker_into_the_handler_and_on(
    traced: Traced,
) -> None:
    """None was begun by the client; each span hangs on what it follows from."""
    fleet, called = traced.fleet, traced.called
    with hearing(fleet, "events", "tasks.task_succeeded") as events:
        async with httpx.AsyncClient(base_url=f"{traced.api.base}/api/v1", trust_env=False) as service:
            call = {"kind": "http_request", "payload": {"url": f"http://127.0.0.1:{called.port}/very-secret"}}
            headers = {"x-request-id": "one-trace", "x-api-key": KEY}
            task_id = (await service.post("/tasks", json=call, headers=headers)).json()["id"]
            told = await asyncio.to_thread(trace_told, events, task_id)
    request = await traced.one("POST /api/v1/tasks", parlor__request_id="one-trace")
    command = await traced.one("EnqueueTask")
    sent = await traced.one(f"send {fleet.namespace}.tasks:default", messaging__message__id=task_id)
    run = await traced.one("process http_request", messaging__message__id=task_id)
    onward = await traced.one("GET")
    event = await traced.one(f"send {fleet.namespace}.events:tasks.task_succeeded")

    chain = [request, command, sent, run, onward, event]
    assert {span.trace_id for span in chain} == {request.trace_id}
    assert [span.parent for span in chain] == [
        "",
        request.id,
        request.id,
        sent.id,
        run.id,
        request.id,
    ]
    assert [span.kind for span in chain] == [
        "server",
        "internal",
        "producer",
        "consumer",
        "client",
        "producer",
    ]
    assert [span.service["parlor.role"] for span in chain] == ["api", "api", *["worker"] * 4]
    assert {span.service["service.name"] for span in chain} == {"party-time"}
    assert not any(span.failed for span in chain)
    actor = request.facts["parlor.actor"]
    assert actor.startswith("api_key:")
    assert request.facts == {
        "http.request.method": "POST",
        "url.scheme": "http",
        "http.route": "/api/v1/tasks",
        "http.response.status_code": 202,
        "parlor.request_id": "one-trace",
        "parlor.actor": actor,
        "parlor.outcome": "ok",
    }
    assert command.facts == {"parlor.actor": actor, "parlor.outcome": "ok"}
    assert run.facts["parlor.task.kind"] == "http_request"
    assert (run.facts["parlor.task.attempt"], run.facts["parlor.outcome"]) == (1, "succeeded")
    assert onward.facts["server.port"] == called.port
    assert f"traceparent: 00-{onward.trace_id}-{onward.id}-" in called.heads[-1]
    assert told.startswith(f"00-{event.trace_id}-{event.id}-")


async def test_statements_are_spans_of_who_waited_for_them_without_their_values(traced: Traced) -> None:
    async with signed_in(traced.api.base) as client:
        await client.patch(
            "/users/me", json={"display_name": "Somebody Secret"}, headers={"x-request-id": "sql"}
        )
    request = await traced.one("PATCH /api/v1/users/me", parlor__request_id="sql")
    await eventually(lambda: any(one.name == "update" for one in traced.collector.trace(request.trace_id)))
    (written,) = [one for one in traced.collector.trace(request.trace_id) if one.name == "update"]
    assert written.facts["db.system.name"] == "postgresql"
    assert "display_name" in written.facts["db.query.text"]
    assert b"Somebody Secret" not in traced.collector.raw


async def test_a_mail_is_part_of_the_trace_of_the_request_that_ordered_it(traced: Traced) -> None:
    async with signed_in(traced.api.base) as client:
        await client.post("/auth/email-verification", headers={"x-request-id": "mail"})
    request = await traced.one("POST /api/v1/auth/email-verification", parlor__request_id="mail")
    mail = await traced.one("send mail")
    assert (mail.trace_id, mail.kind) == (request.trace_id, "client")


async def test_a_producer_s_order_without_a_trace_begins_one(traced: Traced) -> None:
    task_id = str(uuid4())
    with hearing(traced.fleet, "events", "tasks.task_succeeded") as events:
        await asyncio.to_thread(publish, traced.fleet, CARD, message_id=task_id)
        told = await asyncio.to_thread(trace_told, events, task_id)
    received = await traced.one(f"receive {traced.fleet.namespace}.tasks", messaging__message__id=task_id)
    run = await traced.one("process truth_or_dare", messaging__message__id=task_id)
    assert (received.parent, run.parent, run.trace_id) == ("", received.id, received.trace_id)
    assert trace_id(told) == received.trace_id


async def test_a_caller_s_word_that_a_trace_is_not_recorded_is_kept(traced: Traced) -> None:
    """It goes on all the same, so that nobody behind us records it either."""
    trace = uuid4().hex
    with hearing(traced.fleet, "events", "tasks.task_succeeded") as events:
        async with signed_in(traced.api.base) as client:
            headers = {"traceparent": f"00-{trace}-b7ad6b7169203331-00"}
            order = {"kind": "truth_or_dare", "payload": {}}
            ordered = await client.post("/tasks", json=order, headers=headers)
            told = await asyncio.to_thread(trace_told, events, ordered.json()["id"])
            await client.get("/users/me", headers={"x-request-id": "after-it"})
    await traced.one("GET /api/v1/users/me", parlor__request_id="after-it")
    assert traced.collector.trace(trace) == []
    assert told.startswith(f"00-{trace}-")
    assert told.endswith("-00")


async def test_each_frame_of_a_connection_is_a_trace_of_its_own(traced: Traced) -> None:
    async with signed_in(traced.api.base) as ada:
        chat = (await ada.post("/chats", json={"kind": "group", "member_ids": []})).json()["id"]
        async with a_wire(ada) as wire:
            await wire.follow(chat)
            await wire.say("send", chat_id=chat, text="very secret", client_id="c1")
            await wire.hear("sent")
    followed, said = await traced.one("realtime subscribe"), await traced.one("realtime send")
    posted = [one for one in traced.collector.named("PostMessage") if one.trace_id == said.trace_id]
    assert [(one.kind, one.parent) for one in (followed, said)] == [("server", ""), ("server", "")]
    assert followed.trace_id != said.trace_id
    assert [one.parent for one in posted] == [said.id]


async def test_an_error_is_known_by_its_code_and_a_refusal_is_no_failure(traced: Traced) -> None:
    wrong = {"email": "nobody@example.com", "password": "very-secret-password"}
    async with httpx.AsyncClient(base_url=f"{traced.api.base}/api/v1", trust_env=False) as client:
        await client.post("/auth/login?ticket=very-secret-ticket", json=wrong, headers={"x-request-id": "no"})
        await client.get("/tasks/very-secret-id", headers={"x-request-id": "no-id"})
    request = await traced.one("POST /api/v1/auth/login", parlor__request_id="no")
    assert (request.facts["http.response.status_code"], request.failed) == (401, False)
    assert request.facts["parlor.outcome"] == "invalid_credentials"
    command = await traced.one("LogIn", parlor__outcome="invalid_credentials")
    assert (command.parent, command.failed) == (request.id, False)
    assert (await traced.one("GET /api/v1/tasks/{task_id}", parlor__request_id="no-id")).facts


async def test_nothing_that_was_sent_is_told_and_all_of_it_at_the_end(traced: Traced) -> None:
    """The last spans come while the processes end. Bodies, addresses, names, tokens and paths are in none of them."""
    async with signed_in(traced.api.base) as client:
        token = client.headers["authorization"].removeprefix("Bearer ")
        await client.get("/users/me", headers={"x-request-id": "the-last"})
    await asyncio.gather(traced.api.stop(), traced.worker.stop())
    assert traced.collector.named("GET /api/v1/users/me", parlor__request_id="the-last")
    raw = traced.collector.raw
    needles = ["@example", PASSWORD, "ery-secret", "very secret", token.rpartition(".")[2], "python-httpx"]
    assert [needle for needle in needles if needle.encode() in raw] == []
    logs = traced.api.log.read_text() + traced.worker.log.read_text()
    assert "traces_not" not in logs
    assert '"request_id":"the-last"' in traced.api.log.read_text()
