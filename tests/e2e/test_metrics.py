"""What an API and a worker show Prometheus after some traffic: all that dashboard and alerts ask for."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from prometheus_client.openmetrics.parser import text_string_to_metric_families as as_open_metrics
from prometheus_client.parser import text_string_to_metric_families as as_text
from prometheus_client.samples import Sample

from tests.architecture.operations import expressions
from tests.fleet import Process, a_fleet, signed_in
from tests.promql import metrics_of
from tests.servers.session import shared_url
from tests.wire import a_wire

pytestmark = pytest.mark.asyncio(loop_scope="module")

OPEN = "application/openmetrics-text;version=1.0.0"
LOOKS_PRIVATE = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}|@|\d+\.\d+\.\d+\.\d+")
UNKNOWN = "/api/v1/nothing-of-this-name"


@dataclass(frozen=True, slots=True)
class Shown:
    """What one process shows."""

    samples: tuple[Sample, ...]

    def value(self, name: str, **labels: str) -> float:
        """Sum the series of this name with these labels."""
        found = [
            one.value for one in self.samples if one.name == name and labels.items() <= one.labels.items()
        ]
        assert found, f"{name} {labels} is not there"
        return sum(found)


@dataclass(frozen=True, slots=True)
class Pages:
    """What both show."""

    api: Shown
    worker: Shown


async def scraped(process: Process) -> Shown:
    async with httpx.AsyncClient(base_url=process.base, trust_env=False) as client:
        answer = await client.get("/metrics")
    return Shown(tuple(one for family in as_text(answer.text) for one in family.samples))


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="both")
async def two_processes(
    tmp_path_factory: pytest.TempPathFactory, template: str
) -> AsyncIterator[tuple[Process, Process]]:
    """Serve all tests of this file, after some traffic."""
    servers = (shared_url("postgres"), shared_url("redis"), shared_url("rabbitmq"))
    folder: Path = tmp_path_factory.mktemp("metrics")
    async with a_fleet(*servers, folder, template=template) as fleet:
        api, worker = await asyncio.gather(fleet.serve(), fleet.worker())
        async with signed_in(api.base) as me:
            await traffic(me)
        yield api, worker


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="pages")
async def what_both_show(both: tuple[Process, Process]) -> Pages:
    return Pages(*[await scraped(one) for one in both])


async def traffic(me: httpx.AsyncClient) -> None:
    """Do a bit of everything."""
    for _ in range(3):
        await me.get("/users/me")
    await me.get("/nothing-of-this-name")
    chat = (await me.post("/chats", json={"kind": "group", "member_ids": []})).json()["id"]
    async with a_wire(me) as wire:
        await wire.follow(chat)
        await me.post(f"/chats/{chat}/messages", json={"text": "hi"})
        await wire.hear("message.created")
    accepted = await me.post("/tasks", json={"kind": "truth_or_dare", "payload": {}})
    task = await me.get(accepted.headers["Location"].removeprefix("/api/v1"), params={"wait": 20})
    assert task.json()["status"] == "succeeded", task.text


async def test_requests_are_counted_by_their_route_and_never_by_their_path(pages: Pages) -> None:
    me = {"method": "GET", "route": "/api/v1/users/me"}
    assert pages.api.value("parlor_http_requests_total", status="200", **me) == 3
    assert pages.api.value("parlor_http_request_duration_seconds_count", **me) == 3
    assert pages.api.value("parlor_http_requests_total", status="404", route="unmatched") == 1
    routes = {one.labels.get("route") for one in pages.api.samples}
    assert UNKNOWN not in routes
    assert "/api/v1/chats/{chat_id}/messages" in routes


async def test_the_run_of_a_task_is_counted_where_it_ran(pages: Pages) -> None:
    kind = {"kind": "truth_or_dare"}
    assert pages.worker.value("parlor_task_attempts_total", outcome="succeeded", **kind) == 1
    assert pages.worker.value("parlor_task_attempt_duration_seconds_count", **kind) == 1
    assert pages.worker.value("parlor_relay_messages_total", outbox="tasks", receipt="taken") == 1
    assert pages.worker.value("parlor_relay_messages_total", outbox="events", receipt="taken") > 0
    assert pages.worker.value("parlor_task_deliveries_total") == 1
    assert pages.worker.value("parlor_queue_ready_messages") == 0


async def test_what_a_request_needs_on_its_way_is_counted(pages: Pages) -> None:
    api = pages.api
    assert api.value("parlor_use_cases_total", use_case="LogIn", outcome="ok") == 1
    assert api.value("parlor_cache_looks_total", cache="tokens", outcome="hit") > 0
    assert api.value("parlor_password_hash_seconds_count") >= 2
    assert api.value("parlor_database_pool_acquire_seconds_count") > 0
    assert api.value("parlor_websocket_frames_total", direction="out") >= 2
    assert api.value("parlor_websockets_closed_total", reason="client") == 1
    assert api.value("parlor_websockets") == 0
    assert api.value("parlor_http_requests_in_flight") == 1  # which is the page's own


@pytest.mark.parametrize("name", ["api", "worker"])
async def test_each_says_what_it_stands_on(pages: Pages, name: str) -> None:
    page: Shown = getattr(pages, name)
    for part in ("database", "redis", "rabbitmq"):
        assert page.value("parlor_up_part", part=part) == 1
    assert page.value("parlor_feed_up") == 1
    assert page.value("parlor_build_info") == 1
    assert page.value("parlor_outbox_rows", outbox="tasks") == 0
    assert 0 < page.value("parlor_database_connections") <= page.value("parlor_database_connections_most")
    assert page.value("process_resident_memory_bytes") > 0


async def test_both_formats_are_well_formed_and_have_the_headers_of_any_answer(
    both: tuple[Process, Process],
) -> None:
    async with httpx.AsyncClient(base_url=both[0].base, trust_env=False) as client:
        text = await client.get("/metrics")
        opened = await client.get("/metrics", headers={"accept": OPEN})
    assert text.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert opened.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert text.headers["x-content-type-options"] == "nosniff"
    assert text.headers["cache-control"] == "no-store"
    told = {family.name for family in as_open_metrics(opened.text)}  # type: ignore[no-untyped-call]  # the library's own gap
    assert told == {family.name for family in as_text(text.text)}


async def test_all_that_dashboard_and_alerts_ask_for_is_there(pages: Pages) -> None:
    there = {one.name for page in (pages.api, pages.worker) for one in page.samples}
    asked = {name for expression in expressions() for name in metrics_of(expression)}
    assert asked - there == {"up"}  # which is Prometheus' own


async def test_no_series_is_named_by_an_id_or_an_address(pages: Pages) -> None:
    values = {
        value for page in (pages.api, pages.worker) for one in page.samples for value in one.labels.values()
    }
    assert [value for value in values if LOOKS_PRIVATE.search(value)] == []
