"""What is counted about requests, and the page that shows it."""

import httpx
import pytest
from httpx import AsyncClient

from parlor.core.shared.meters import ONE, Labels, Meters, MetersPage, WrittenMeters
from parlor.entrypoints.http.app import make_app
from tests.fakes.container import SIGNED_IN, FakeContainer, as_container, settings_for_tests

ROUTE, ODD = "/api/v1/users/me", "/api/v1/users/me/%2e%2e"


class Page:
    """Port MetersPage: says who asked."""

    async def written(self, accept: str | None) -> WrittenMeters:
        return WrittenMeters(f"# {accept}\n".encode(), "text/plain; version=0.0.4; charset=utf-8")


class Counted:
    """An application of its own, and what it counts."""

    def __init__(self, **settings: object) -> None:
        fake = FakeContainer(settings_for_tests(**settings), ports={MetersPage: Page()})
        self.meters: Meters = fake.meters
        self.client = AsyncClient(
            transport=httpx.ASGITransport(make_app(as_container(fake)), raise_app_exceptions=False),
            base_url="http://test",
        )

    @property
    def requests(self) -> dict[Labels, float]:
        return dict(
            self.meters.tally("parlor_http_requests_total", "", "method", "route", "status").readings()
        )


@pytest.fixture(scope="module")
def counted() -> Counted:
    return Counted()


@pytest.fixture
def before(counted: Counted) -> dict[Labels, float]:
    return counted.requests


def new(counted: Counted, before: dict[Labels, float]) -> dict[Labels, float]:
    return {key: n - before.get(key, 0) for key, n in counted.requests.items() if n != before.get(key, 0)}


async def test_a_request_is_counted_by_method_route_and_status(
    counted: Counted, before: dict[Labels, float]
) -> None:
    await counted.client.get(ROUTE, headers=SIGNED_IN)
    await counted.client.get(f"{ROUTE}?q=1", headers=SIGNED_IN)
    await counted.client.get(ROUTE)
    assert new(counted, before) == {("GET", ROUTE, "200"): 2, ("GET", ROUTE, "401"): 1}


async def test_its_route_is_the_template(counted: Counted, before: dict[Labels, float]) -> None:
    for number in range(3):
        await counted.client.get(f"/api/v1/tasks/{number}")
    assert new(counted, before) == {("GET", "/api/v1/tasks/{task_id}", "401"): 3}


async def test_paths_and_methods_that_anybody_can_make_up_name_no_series(
    counted: Counted, before: dict[Labels, float]
) -> None:
    for number in range(20):
        await counted.client.get(f"/nothing/{number}")
        await counted.client.request(f"FILM{number}", f"/nothing/{number}")
    found = new(counted, before)
    assert {(method, route) for method, route, _ in found} == {("GET", "unmatched"), ("other", "unmatched")}
    assert sum(found.values()) == 40


async def test_what_takes_how_long_is_counted_by_route(counted: Counted) -> None:
    spread = counted.meters.timing("parlor_http_request_duration_seconds", "", "method", "route").of(
        "GET", "/healthz"
    )
    before = sum(spread.counts)
    await counted.client.get("/healthz")
    assert sum(spread.counts) == before + 1


async def test_who_is_being_answered_is_in_flight(counted: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    def in_flight() -> float:
        return counted.meters.level("parlor_http_requests_in_flight", "").readings()[ONE]

    seen: list[float] = []

    async def written(_: Page, _accept: str | None) -> WrittenMeters:
        seen.append(in_flight())
        raise RuntimeError

    monkeypatch.setattr(Page, "written", written)
    assert (await counted.client.get("/metrics")).status_code == 500
    assert (seen, in_flight()) == ([1], 0)


async def test_the_page_is_open_and_hands_on_what_its_reader_accepts(counted: Counted) -> None:
    answer = await counted.client.get("/metrics", headers={"accept": "application/openmetrics-text"})
    assert (answer.status_code, answer.text) == (200, "# application/openmetrics-text\n")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert answer.headers["cache-control"] == "no-store"


async def test_it_can_be_switched_off() -> None:
    off = Counted(PARLOR_METRICS=False)
    assert (await off.client.get("/metrics")).status_code == 404
    assert "/metrics" not in (await off.client.get("/openapi.json")).json()["paths"]


async def test_two_applications_in_one_process_count_for_themselves(counted: Counted) -> None:
    before = counted.requests
    await Counted().client.get("/healthz")
    assert counted.requests == before
