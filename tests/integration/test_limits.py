"""Limits over real connections: what one address may try, and whom a stream belongs to."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.fleet import PASSWORD
from tests.serving import Api, an_api


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    async with an_api(database_url, PARLOR_THROTTLE_SCALE="1") as api:
        yield api


@pytest.fixture
async def client(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"{api.base}/api/v1", trust_env=False, timeout=40) as client:
        yield client


async def test_one_password_on_a_hundred_accounts_is_tried_thirty_times(client: httpx.AsyncClient) -> None:
    """Whatever the client says about where it comes from."""
    statuses: list[int] = []
    for number in range(100):
        body = {"email": f"{number}@example.org", "password": "password1"}
        headers = {"X-Forwarded-For": f"192.0.2.{number}"}
        statuses.append((await client.post("/auth/login", json=body, headers=headers)).status_code)
    assert statuses[:30] == [401] * 30
    assert set(statuses[30:]) <= {401, 429}
    assert statuses.count(429) > 35  # one more every two seconds, should the machine be that slow


async def test_what_happened_to_an_account_is_in_its_history(client: httpx.AsyncClient) -> None:
    """Failures, too many of them, logins, and sessions that were ended."""
    account = {"email": "ada@example.org", "password": PASSWORD}
    await client.post("/auth/register", json=account)
    answers = [
        await client.post("/auth/login", json={**account, "password": word})
        for word in (PASSWORD, *["wrong"] * 9, PASSWORD, *["wrong"] * 6)
    ]
    statuses = [answer.status_code for answer in answers]
    assert statuses[:12] == [200, *[401] * 9, 200, 401]
    assert 429 in statuses[12:]
    headers = {"Authorization": f"Bearer {answers[0].json()['access_token']}"}
    assert (await client.post("/auth/logout", headers=headers)).status_code == 204
    headers = {"Authorization": f"Bearer {answers[10].json()['access_token']}"}
    lines = (await client.get("/users/me/logins?limit=100", headers=headers)).json()["items"]
    outcomes = [line["outcome"] for line in reversed(lines)]
    assert outcomes[:12] == ["success", *["wrong_password"] * 9, "success", "wrong_password"]
    assert outcomes[-1] == "logout"
    assert 1 <= outcomes.count("throttled") <= 2


async def test_a_session_is_ended_from_another_one(client: httpx.AsyncClient) -> None:
    """At once here; and whoever asks for a stranger's hears what they hear of none."""
    account = {"email": "ada@example.org", "password": PASSWORD}
    await client.post("/auth/register", json=account)
    pairs = [(await client.post("/auth/login", json=account)).json() for _ in range(2)]
    mine, lost = ({"Authorization": f"Bearer {pair['access_token']}"} for pair in pairs)
    listed = (await client.get("/users/me/sessions", headers=mine)).json()["items"]
    assert [session["current"] for session in listed] == [False, True]
    path = f"/users/me/sessions/{listed[0]['id']}"
    assert (await client.get("/users/me", headers=lost)).status_code == 200
    assert (await client.delete(path, headers=mine)).status_code == 204
    assert (await client.get("/users/me", headers=lost)).status_code == 401
    again = await client.delete(path, headers=mine)
    assert (again.status_code, again.json()["code"]) == (404, "not_found")
    lines = (await client.get("/users/me/logins", headers=mine)).json()["items"]
    assert [(line["outcome"], line["session_id"]) for line in lines] == [
        ("logout", listed[0]["id"]),
        ("success", listed[0]["id"]),
        ("success", listed[1]["id"]),
    ]
    assert {line["ip"] for line in lines} == {"127.0.0.1"}
