"""Roles and disabled users from outside, over two API processes: here with the next request, there at a word."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.fleet import PASSWORD, Fleet, a_fleet, as_admin, signed_in
from tests.servers.session import shared_url
from tests.waiting import eventually

FILMS = ["films:watch"]

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass(frozen=True, slots=True)
class Town:
    """Two API processes over one database, and an administrator signed in at the first."""

    fleet: Fleet
    here: str
    there: str
    admin: httpx.AsyncClient


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def town(tmp_path_factory: pytest.TempPathFactory, template: str) -> AsyncIterator[Town]:
    """Start them once for all tests here."""
    servers = (shared_url("postgres"), shared_url("redis"), shared_url("rabbitmq"))
    folder: Path = tmp_path_factory.mktemp("roles")
    async with a_fleet(*servers, folder, template=template) as fleet:
        here, there = await asyncio.gather(fleet.serve(), fleet.serve())
        async with as_admin(fleet, here.base) as admin:
            yield Town(fleet, here.base, f"{there.base}/api/v1", admin)


async def id_of(client: httpx.AsyncClient) -> str:
    return str((await client.get("/users/me")).json()["id"])


async def made(admin: httpx.AsyncClient, *permissions: str) -> str:
    name = f"role-{secrets.token_hex(4)}"
    answer = await admin.post("/roles", json={"name": name, "permissions": permissions})
    assert answer.status_code == 201, answer.text
    return name


async def does(admin: httpx.AsyncClient, method: str, path: str, body: Any = None) -> None:
    answer = await admin.request(method, path, json=body)
    assert answer.status_code in {200, 204}, answer.text


async def answered(client: httpx.AsyncClient, url: str, status: int) -> None:
    """Wait until the other process has heard."""

    async def heard() -> bool:
        return (await client.get(url)).status_code == status

    await eventually(heard)


async def test_a_granted_and_a_taken_role_act_on_both_processes(town: Town) -> None:
    role = await made(town.admin, "users:manage")
    async with signed_in(town.here) as bob:
        bobs = f"/users/{await id_of(bob)}/roles/{role}"
        for method, status in (("PUT", 200), ("DELETE", 403), ("PUT", 200)):
            await bob.get(f"{town.there}/users")  # so that there is a copy to forget
            await does(town.admin, method, bobs)
            assert (await bob.get("/users")).status_code == status
            await answered(bob, f"{town.there}/users", status)
        assert role in (await bob.get("/users/me")).json()["roles"]
        await does(town.admin, "DELETE", f"/roles/{role}")
        assert (await bob.get("/users")).status_code == 403
        assert role not in (await bob.get("/users/me")).json()["roles"]
        await answered(bob, f"{town.there}/users", 403)


async def test_what_a_role_permits_changes_for_everybody_who_holds_it_on_both_processes(town: Town) -> None:
    role = await made(town.admin, *FILMS)
    async with signed_in(town.here) as bob:
        await does(town.admin, "PUT", f"/users/{await id_of(bob)}/roles/{role}")
        for permissions, status in (
            (["users:manage"], 200),
            (FILMS, 403),
            (["users:manage"], 200),
            ([], 403),
        ):
            await bob.get(f"{town.there}/users")
            await does(town.admin, "PATCH", f"/roles/{role}", {"permissions": permissions})
            assert (await bob.get("/users")).status_code == status
            await answered(bob, f"{town.there}/users", status)


async def test_a_disabled_user_is_refused_by_both_processes_and_enabled_logs_in_again(town: Town) -> None:
    async with signed_in(town.here) as bob:
        me = (await bob.get("/users/me")).json()
        assert (await bob.get(f"{town.there}/users/me")).status_code == 200
        await does(town.admin, "PATCH", f"/users/{me['id']}", {"status": "disabled"})
        assert (await bob.get("/users/me")).status_code == 401
        await answered(bob, f"{town.there}/users/me", 401)
        account = {"email": me["email"], "password": PASSWORD}
        refused = await bob.post("/auth/login", json=account)
        assert (refused.status_code, refused.json()["code"]) == (401, "invalid_credentials")
        await does(town.admin, "PATCH", f"/users/{me['id']}", {"status": "active"})
        assert (await bob.get("/users/me")).status_code == 401, "the old token stays ended"
        assert (await bob.post("/auth/login", json=account)).status_code == 200


async def test_sessions_that_somebody_else_ends_end_on_both_processes(town: Town) -> None:
    async with signed_in(town.here) as bob:
        await does(town.admin, "DELETE", f"/users/{await id_of(bob)}/sessions")
        assert (await bob.get("/users/me")).status_code == 401
        await answered(bob, f"{town.there}/users/me", 401)


async def test_users_are_found_page_by_page(town: Town) -> None:
    word = secrets.token_hex(6)
    async with AsyncExitStack() as stack:
        for number in range(3):
            await stack.enter_async_context(signed_in(town.here, f"{number}.{word}@example.com"))
    seen: list[str] = []
    cursor = None
    while True:
        query: dict[str, Any] = {"q": word.upper(), "limit": 2, "status": "active", "role": "user"}
        page = (await town.admin.get("/users", params=query | ({"cursor": cursor} if cursor else {}))).json()
        seen += [user["email"] for user in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == [f"{number}.{word}@example.com" for number in (2, 1, 0)]


async def test_admins_who_remove_each_other_at_two_processes_leave_one(town: Town) -> None:
    """By whatever route."""
    mine = (await town.admin.get("/users/me")).json()
    async with signed_in(town.here) as other:
        theirs = await id_of(other)
        await does(town.admin, "PUT", f"/users/{theirs}/roles/admin")
        answers = await asyncio.gather(
            town.admin.delete(f"/users/{theirs}/roles/admin"),
            other.patch(f"{town.there}/users/{mine['id']}", json={"status": "disabled"}),
        )
        refused = [answer for answer in answers if answer.is_error]
        assert len(refused) == 1
        # The other may have been so late that it was nobody's request any more.
        assert refused[0].json()["code"] in {"last_admin", "permission_missing", "invalid_token"}
        async with town.fleet.database() as database:
            left = await database.fetchval(
                """select count(*) from users join user_roles on user_id = id
                    where status = 'active' and role = 'admin'"""
            )
        assert left == 1
        if not answers[1].is_error:
            await does(other, "PATCH", f"/users/{mine['id']}", {"status": "active"})
            account = {"email": mine["email"], "password": PASSWORD}
            pair = (await town.admin.post("/auth/login", json=account)).json()
            town.admin.headers["authorization"] = f"Bearer {pair['access_token']}"
