"""The published document, and the pages that show it."""

import re
from typing import Any

import pytest
from httpx import AsyncClient

from parlor.entrypoints.http.app import make_app
from tests.fakes.container import FakeContainer, a_client, as_container, settings_for_tests

PUBLIC = {
    "register",
    "log_in",
    "log_in_by_form",
    "refresh",
    "reset_password",
    "confirm_password_reset",
    "confirm_email",
    "key_set",
    "healthz",
    "readyz",
    "metrics",
}


@pytest.fixture
def document(fake: FakeContainer) -> dict[str, Any]:
    return make_app(as_container(fake)).openapi()


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found = [operation for path in document["paths"].values() for operation in path.values()]
    assert len({operation["operationId"] for operation in found}) == len(found)
    return {operation["operationId"]: operation for operation in found}


async def test_the_document_is_published(client: AsyncClient) -> None:
    answer = await client.get("/openapi.json")
    assert (answer.status_code, answer.json()["info"]["title"]) == (200, "Parlor")


async def test_the_document_is_published_in_production_too_but_its_pages_are_not() -> None:
    settings = settings_for_tests(PARLOR_ENV="production", SECURITY_SECRET_KEY="s" * 32)
    async with a_client(FakeContainer(settings)) as client:
        paths = ("/openapi.json", "/asyncapi.json", "/docs", "/redoc")
        statuses = [(await client.get(path)).status_code for path in paths]
    assert statuses == [200, 200, 404, 404]


async def test_the_contract_over_rabbitmq_is_published_beside_it() -> None:
    async with a_client(FakeContainer(settings_for_tests(PARLOR_NAMESPACE="films"))) as client:
        answer = await client.get("/asyncapi.json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["asyncapi"] == "3.0.0"
    assert "films.tasks.high" in answer.json()["channels"]


def test_only_these_routes_are_open_to_everybody(document: dict[str, Any]) -> None:
    open_to_all = {name for name, operation in operations(document).items() if not operation["security"]}
    assert open_to_all == PUBLIC
    assert {name for name, op in operations(document).items() if op["x-permission"] == "public"} == PUBLIC


def test_each_operation_says_what_it_needs(document: dict[str, Any]) -> None:
    needed = {name: operation["x-permission"] for name, operation in operations(document).items()}
    assert needed["enqueue"] == "tasks:create"
    assert needed["list_dead_letters"] == "tasks:manage"
    assert needed["me"] == "own"
    told = {
        name: operation["description"].partition("For: ")[2]
        for name, operation in operations(document).items()
    }
    assert "its invited guests; `parties:write`" in told["join_a_party"]
    assert (
        "members and invited guests; `parties:read`, `parties:write` or `parties:manage`" in told["get_party"]
    )
    assert "`parties:write` for anybody, which an API key needs" in told["found_a_party"]
    assert "`parties:read` for anybody, which an API key needs" in told["list_invitations"]
    assert "`parties:manage`" in told["end_a_party"]
    assert "guests" not in told["list_party_members"]
    assert all("For: " in operation["description"] for operation in operations(document).values())


def test_each_operation_says_how_it_fails(document: dict[str, Any]) -> None:
    enqueue = operations(document)["enqueue"]["responses"]
    assert set(enqueue) == {
        "200",
        "202",
        "400",
        "401",
        "403",
        "404",
        "408",
        "409",
        "413",
        "415",
        "422",
        "429",
        "500",
        "503",
    }
    assert "`unique_key_taken`" in enqueue["409"]["description"]
    for operation in operations(document).values():
        failures = {
            int(status): told for status, told in operation["responses"].items() if int(status) >= 400
        }
        assert 500 in failures
        for status, told in failures.items():
            media = (
                "application/json"
                if (operation["operationId"], status) == ("readyz", 503)
                else "application/problem+json"
            )
            assert list(told["content"]) == [media]


@pytest.mark.parametrize("name", ["change_me", "delete_me", "patch_user", "grant", "take"])
def test_what_changes_a_user_takes_its_tag(document: dict[str, Any], name: str) -> None:
    operation = operations(document)[name]
    assert "If-Match" in {parameter["name"] for parameter in operation["parameters"]}
    assert "`version_mismatch`" in operation["responses"]["412"]["description"]
    assert "`invalid_if_match`" in operation["responses"]["422"]["description"]


def test_each_answer_names_its_headers(document: dict[str, Any]) -> None:
    named = {
        (name, status): set(answer["headers"])
        for name, operation in operations(document).items()
        for status, answer in operation["responses"].items()
    }
    assert all("X-Request-ID" in headers for headers in named.values())
    assert named["enqueue", "202"] == {"X-Request-ID", "ETag", "Location", "Idempotent-Replayed"}
    assert named["enqueue_all", "202"] == {"X-Request-ID", "Idempotent-Replayed"}
    assert named["get_task", "200"] == named["me", "200"] == {"X-Request-ID", "ETag"}
    assert named["list_tasks", "200"] == {"X-Request-ID"}
    for placed in (("post_message", "201"), ("post_message", "200"), ("post_role", "201")):
        assert named[placed] == {"X-Request-ID", "Location"}
    assert "WWW-Authenticate" in named["me", "401"]
    assert "Retry-After" in named["me", "503"]


@pytest.mark.parametrize("path", ["/auth/token", "/auth/introspect", "/auth/revoke"])
def test_a_form_may_have_fields_that_nobody_knows(document: dict[str, Any], path: str) -> None:
    """They are left out, and those of JSON are refused."""
    content = document["paths"][f"/api/v1{path}"]["post"]["requestBody"]["content"]
    assert content["application/x-www-form-urlencoded"]["schema"]["additionalProperties"] is True


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    named = set(re.findall(r"'#/components/schemas/(\w+)'", str(document)))
    assert named == set(document["components"]["schemas"])
    assert {"User", "TokenPair", "Task", "Problem"} <= named


def test_every_credential_is_described_and_tickets_where_they_count(document: dict[str, Any]) -> None:
    assert set(document["components"]["securitySchemes"]) == {"bearer", "password", "apiKey", "ticket"}
    taking = {name for name, op in operations(document).items() if {"ticket": []} in op["security"]}
    assert taking == {"task_events"}


def test_a_stream_is_described_as_one(document: dict[str, Any]) -> None:
    events = operations(document)["task_events"]
    assert list(events["responses"]["200"]["content"]) == ["text/event-stream"]
    assert {"204", "401", "404", "422", "429", "503"} < set(events["responses"])
    assert "`invalid_ticket`" in events["responses"]["401"]["description"]
    assert {one["name"] for one in events["parameters"]} == {"task_id", "last_event_id", "Last-Event-ID"}


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
async def test_a_page_loads_nothing_from_elsewhere_and_runs_nothing_inline(
    client: AsyncClient, page: str
) -> None:
    answer = await client.get(page)
    assert answer.status_code == 200
    loaded = re.findall(r'(?:src|href|spec-url|data-openapi)="([^"]+)"', answer.text)
    assert loaded
    for address in loaded:
        assert (await client.get(address)).status_code == 200, address
    assert all(script == "" for script in re.findall(r"<script[^>]*>(.*?)</script>", answer.text, re.DOTALL))
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "default-src 'none'" in policy


@pytest.mark.parametrize("name", ["nothing.js", "..%2fcore.py", "%2e%2e/core.py"])
async def test_no_other_file_is_served(client: AsyncClient, name: str) -> None:
    answer = await client.get(f"/static/docs/{name}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_the_assets_may_be_kept(client: AsyncClient) -> None:
    answer = await client.get("/static/docs/swagger-ui.css")
    assert answer.headers["cache-control"] == "public, max-age=86400"
    assert answer.headers["content-type"].startswith("text/css")
