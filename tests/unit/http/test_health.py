"""Probes: alive, ready, degraded, unready."""

import pytest
from httpx import AsyncClient

from parlor.core.shared.health import Part
from tests.fakes.container import FakeContainer

UP = Part("up", needed=True)
AWAY = Part("down", needed=True, detail="no answer")
MISSED = Part("down", needed=False, detail="no answer")


async def test_a_process_that_answers_is_alive(client: AsyncClient) -> None:
    answer = await client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "alive"})


@pytest.mark.parametrize(
    ("parts", "status", "word"),
    [
        ({}, 200, "ready"),
        ({"database": UP}, 200, "ready"),
        ({"database": UP, "redis": MISSED}, 200, "degraded"),
        ({"database": AWAY, "redis": MISSED}, 503, "unready"),
    ],
)
async def test_only_what_is_needed_makes_it_unready(
    fake: FakeContainer, client: AsyncClient, parts: dict[str, Part], status: int, word: str
) -> None:
    fake.health = parts
    answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (status, word)
    assert ("retry-after" in answer.headers) == (status == 503)


async def test_each_part_says_how_it_is(fake: FakeContainer, client: AsyncClient) -> None:
    fake.health = {"database": UP, "redis": MISSED}
    assert (await client.get("/readyz")).json()["parts"] == {
        "database": {"status": "up", "needed": True, "detail": None},
        "redis": {"status": "down", "needed": False, "detail": "no answer"},
    }
