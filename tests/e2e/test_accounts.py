"""An account's own life, over HTTP, with the worker beside it and mail in a folder."""

import asyncio
import email
import email.policy
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import httpx
import pytest

from parlor.adapters.sql.engine import Database
from parlor.entrypoints.consume_worker.main import running
from tests.fleet import PASSWORD, signed_in
from tests.serving import Api, an_api
from tests.waiting import eventually

OTHER = "another horse 43"
PUBLIC = "https://parlor.example.org"
TOKEN = re.compile(r"token=([\w-]{43})\r\n")


@dataclass(frozen=True, slots=True)
class House:
    """API and worker in this process, and what they wrote."""

    api: Api
    mails: Path
    database: Database

    def mail_to(self, address: str) -> list[EmailMessage]:
        """Read what came for somebody, the oldest first."""
        files = sorted(self.mails.glob("*.eml"))
        mails = (email.message_from_bytes(file.read_bytes(), policy=email.policy.default) for file in files)
        return [mail for mail in mails if mail["To"] == address]

    async def token_for(self, address: str, *, number: int = 1) -> str:
        """Wait for this mail, and take the token out of it."""
        await eventually(lambda: len(self.mail_to(address)) >= number)
        (token,) = TOKEN.findall(self.mail_to(address)[number - 1].get_content())
        return str(token)

    @asynccontextmanager
    async def anybody(self) -> AsyncIterator[httpx.AsyncClient]:
        async with httpx.AsyncClient(base_url=f"{self.api.base}/api/v1", trust_env=False) as client:
            yield client


def an_address() -> str:
    return f"{secrets.token_hex(6)}@example.com"


@asynccontextmanager
async def a_house(database: Database, url: str, folder: Path, **settings: str) -> AsyncIterator[House]:
    given = {"PARLOR_MAIL_DIR": str(folder), "PARLOR_PUBLIC_URL": PUBLIC, "PARLOR_THROTTLE_SCALE": "100"}
    async with (
        an_api(url, **given | settings) as api,
        running(api.container, consume=True, relay=True, timers=True),
    ):
        yield House(api, folder, database)


@pytest.fixture
async def house(database: Database, database_url: str, tmp_path: Path) -> AsyncIterator[House]:
    async with a_house(database, database_url, tmp_path / "mail") as house:
        yield house


async def logs_in(client: httpx.AsyncClient, address: str, password: str) -> bool:
    answer = await client.post("/auth/login", json={"email": address, "password": password})
    assert answer.status_code in {200, 401}
    return answer.status_code == 200


async def test_a_forgotten_password_is_replaced_by_mail(house: House) -> None:
    """The link is ours whatever `Host` says; it counts once; every session ends; nothing but its hash is stored."""
    address = an_address()
    async with house.anybody() as client, signed_in(house.api.base, address) as me:
        asked = await client.post(
            "/auth/password-reset", json={"email": address.upper()}, headers={"Host": "evil.example"}
        )
        unknown = await client.post("/auth/password-reset", json={"email": an_address()})
        assert (asked.status_code, asked.content) == (unknown.status_code, unknown.content)
        assert (asked.status_code, asked.json()) == (202, {"status": "accepted"})
        token = await house.token_for(address)
        (mail,) = house.mail_to(address)
        assert f"{PUBLIC}/#password-reset?token={token}\r\n" in mail.get_content()
        assert "evil" not in mail.as_string()
        await no_row_holds(house.database, token)
        new = {"token": token, "new_password": OTHER}
        assert (await client.post("/auth/password-reset/confirm", json=new)).status_code == 204
        again = await client.post("/auth/password-reset/confirm", json=new)
        assert (again.status_code, again.json()["code"]) == (401, "invalid_mail_token")
        assert (await me.get("/users/me")).status_code == 401
        assert not await logs_in(client, address, PASSWORD)
        assert await logs_in(client, address, OTHER)
    assert len(list(house.mails.glob("*.eml"))) == 1, "nobody else got a mail"


async def no_row_holds(database: Database, secret: str) -> None:
    async with database.session() as session:
        tables = await session.fetch("select tablename from pg_tables where schemaname = 'public'")
        for (table,) in tables:
            found = await session.fetchval(
                f"select count(*) from {table} t where t::text like '%' || $1 || '%'", secret
            )
            assert found == 0, table


async def test_a_changed_password_keeps_this_session_and_ends_the_others(house: House) -> None:
    address = an_address()
    account = {"email": address, "password": PASSWORD}
    async with house.anybody() as client, signed_in(house.api.base, address) as me:
        kept = (await client.post("/auth/login", json=account)).json()
        change = {"current_password": PASSWORD, "new_password": OTHER}
        mine = {"Authorization": f"Bearer {kept['access_token']}"}
        wrong = await client.post(
            "/users/me/password", json=change | {"current_password": OTHER}, headers=mine
        )
        assert (wrong.status_code, wrong.json()["code"]) == (403, "wrong_password")
        common = await client.post(
            "/users/me/password", json=change | {"new_password": "password1"}, headers=mine
        )
        assert common.json()["errors"][0] | {"detail": ""} == {
            "pointer": "/new_password",
            "code": "password_too_common",
            "detail": "",
        }
        await client.post("/auth/password-reset", json={"email": address})
        older = await house.token_for(address)
        assert (await client.post("/users/me/password", json=change, headers=mine)).status_code == 204
        assert (await me.get("/users/me")).status_code == 401
        refreshed = await client.post("/auth/refresh", json={"refresh_token": kept["refresh_token"]})
        assert refreshed.status_code == 200
        fresh = {"Authorization": f"Bearer {refreshed.json()['access_token']}"}
        assert (await client.get("/users/me", headers=fresh)).status_code == 200
        killed = await client.post(
            "/auth/password-reset/confirm", json={"token": older, "new_password": OTHER}
        )
        assert killed.json()["code"] == "invalid_mail_token"
        assert not await logs_in(client, address, PASSWORD)


async def test_an_address_is_verified_by_mail(house: House) -> None:
    address = an_address()
    async with house.anybody() as client, signed_in(house.api.base, address) as me:
        assert (await me.post("/auth/email-verification")).status_code == 202
        older = await house.token_for(address)
        assert (await me.post("/auth/email-verification")).status_code == 202
        token = await house.token_for(address, number=2)
        confirm = "/auth/email-verification/confirm"
        assert (await client.post(confirm, json={"token": older})).status_code == 401
        reset = {"token": token, "new_password": OTHER}
        assert (await client.post("/auth/password-reset/confirm", json=reset)).status_code == 401
        assert (await me.get("/users/me")).json()["email_verified"] is False
        assert (await client.post(confirm, json={"token": token})).status_code == 204
        assert (await client.post(confirm, json={"token": token})).status_code == 401
        assert (await me.get("/users/me")).json()["email_verified"] is True


async def test_a_profile_is_changed_only_as_it_was_read(house: House) -> None:
    async with signed_in(house.api.base) as me:
        read = await me.get("/users/me")
        tag = {"If-Match": read.headers["etag"]}
        changed = await me.patch("/users/me", json={"display_name": "Ada"}, headers=tag)
        assert (changed.status_code, changed.json()["display_name"]) == (200, "Ada")
        assert (changed.headers["etag"], changed.json()["version"]) == ('"2"', 2)
        assert (await me.get("/users/me")).json() == changed.json()
        stale = await me.patch("/users/me", json={"display_name": "Bob"}, headers=tag)
        assert (stale.status_code, stale.json()["code"]) == (412, "version_mismatch")
        assert (await me.patch("/users/me", json={})).json() == changed.json()
        assert (await me.patch("/users/me", json={"display_name": None})).status_code == 422
        assert (await me.patch("/users/me", json={"email": an_address()})).status_code == 422


async def test_a_deleted_account_is_nobodys_at_once_and_its_tasks_end(house: House) -> None:
    address = an_address()
    async with house.anybody() as client, signed_in(house.api.base, address) as me:
        user_id = (await me.get("/users/me")).json()["id"]
        later = {"kind": "truth_or_dare", "payload": {}, "run_at": "2029-01-01T00:00:00Z"}
        tasks = (await me.post("/tasks/batch", json={"tasks": [later] * 3})).json()["items"]
        cards = {"name": "c", "cron": "0 7 * * *", "kind": "truth_or_dare", "payload": {}}
        assert (await me.post("/schedules", json=cards)).status_code == 201
        made = (await me.post("/api-keys", json={"name": "mine", "scopes": ["tasks:create"]})).json()
        by_key = {"X-API-Key": made["key"]}
        assert (await client.get("/tasks", headers=by_key)).status_code == 200
        wrong = await me.request("DELETE", "/users/me", json={"password": OTHER})
        assert (wrong.status_code, wrong.json()["code"]) == (403, "wrong_password")
        assert (await me.request("DELETE", "/users/me", json={"password": PASSWORD})).status_code == 204
        assert (await me.get("/users/me")).status_code == 401
        assert (await client.get("/tasks", headers=by_key)).status_code == 401
        assert not await logs_in(client, address, PASSWORD)
        account = {"email": address, "password": PASSWORD}
        assert (await client.post("/auth/register", json=account)).status_code == 201
    async with signed_in(house.api.base) as other:
        seen = await other.get(f"/users/{user_id}")
        assert seen.json() == {"id": user_id, "display_name": "deleted user"}
    async with house.database.session() as session:
        (row,) = await session.fetch("select * from users where id = $1::uuid", user_id)
        assert (row["display_name"], row["status"], row["password_hash"]) == ("deleted user", "disabled", "")
        assert address not in str(dict(row))

        left = """
            select (select count(*) from tasks where status <> 'cancelled' and id = any($1))
                 + (select count(*) from schedules)
                 + (select count(*) from logins where user_id = $2::uuid and network <> '')
                 + (select count(*) from sessions where user_id = $2::uuid and ip is not null)"""

        async def ended() -> bool:
            return bool(await session.fetchval(left, [task["id"] for task in tasks], user_id) == 0)

        await eventually(ended)


async def test_who_leaves_for_good_hands_over_the_party_and_leaves_their_words(house: House) -> None:
    async with signed_in(house.api.base) as gone, signed_in(house.api.base) as heir:
        party = (await gone.post("/parties", json={"name": "The Left"})).json()
        assert (await heir.post(f"/parties/{party['id']}/join")).status_code == 200
        messages = f"/chats/{party['chat_id']}/messages"
        assert (await gone.post(messages, json={"text": "Farewell."})).status_code == 201
        user_id = (await gone.get("/users/me")).json()["id"]
        heir_id = (await heir.get("/users/me")).json()["id"]
        assert (await gone.request("DELETE", "/users/me", json={"password": PASSWORD})).status_code == 204

        async def handed_over() -> bool:
            return bool((await heir.get(f"/parties/{party['id']}")).json()["owner_id"] == heir_id)

        await eventually(handed_over)
        (said,) = (await heir.get(messages)).json()["items"]
        assert (said["author_id"], said["text"]) == (user_id, "Farewell.")
        members = (await heir.get(f"/chats/{party['chat_id']}/members")).json()["items"]
        assert [one["user_id"] for one in members] == [heir_id]


async def test_an_export_holds_what_is_kept_and_no_secret(house: House) -> None:
    address = an_address()
    async with signed_in(house.api.base, address) as me:
        order = {"kind": "truth_or_dare", "payload": {}, "run_at": "2029-01-01T00:00:00Z"}
        for _ in range(5):
            await me.post("/tasks/batch", json={"tasks": [order] * 90})
        made = (await me.post("/api-keys", json={"name": "mine", "scopes": ["tasks:create"]})).json()
        party = (await me.post("/parties", json={"name": "Kept"})).json()
        said = await say(me, party["chat_id"], 2 * 200 + 1)
        answer = await me.get("/users/me/export")
        assert answer.headers["content-disposition"] == 'attachment; filename="parlor-export.json"'
        held = answer.json()
        assert held["profile"]["email"] == address
        assert held["roles"] == ["user"]
        assert len(held["sessions"]) == 1
        assert held["schedules"] == []
        assert [line["outcome"] for line in held["logins"]] == ["api_key_created", "success"]
        listed = [task async for task in every_task(me)]
        assert len(listed) == 5 * 90
        assert held["tasks"] == listed
        assert [key["id"] for key in held["api_keys"]] == [made["id"]]
        assert [seat["party_id"] for seat in held["parties"]] == [party["id"]]
        assert [chat["chat_id"] for chat in held["chats"]] == [party["chat_id"]]
        assert held["messages"] == said
        assert held["invitations"] == held["sent_invitations"] == held["reactions"] == []
        assert made["key"] not in answer.text
        assert "hash" not in answer.text


async def say(me: httpx.AsyncClient, chat_id: str, count: int) -> list[dict[str, Any]]:
    """Post so many messages; of the second only its place is left."""
    messages = f"/chats/{chat_id}/messages"
    said = [(await me.post(messages, json={"text": f"{number}"})).json() for number in range(count)]
    deleted = f"{messages}/{said[1]['id']}"
    assert (await me.delete(deleted)).status_code == 204
    said[1] = (await me.get(deleted)).json()
    return said


async def every_task(me: httpx.AsyncClient) -> AsyncIterator[dict[str, Any]]:
    page = (await me.get("/tasks", params={"limit": 100})).json()
    while True:
        for task in page["items"]:
            yield task
        if page["next_cursor"] is None:
            return
        page = (await me.get("/tasks", params={"limit": 100, "cursor": page["next_cursor"]})).json()


async def test_where_accounts_are_hidden_registering_says_the_same_to_all(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    address = an_address()
    account = {"email": address, "password": PASSWORD}
    async with (
        a_house(database, database_url, tmp_path, PARLOR_HIDE_ACCOUNTS="true") as house,
        house.anybody() as client,
    ):
        answers = await asyncio.gather(*(client.post("/auth/register", json=account) for _ in range(20)))
        assert {(answer.status_code, answer.content) for answer in answers} == {
            (202, b'{"status":"accepted"}')
        }
        assert await logs_in(client, address, PASSWORD)
        twin = await client.post("/auth/register", json={"email": address.upper(), "password": OTHER})
        assert (twin.status_code, twin.content) == (answers[0].status_code, answers[0].content)
        assert not await logs_in(client, address, OTHER)
        await eventually(lambda: len(house.mail_to(address)) == 21)
        about = [mail["Subject"] for mail in house.mail_to(address)]
        assert about.count("Confirm your e-mail address") == 1
        assert about.count("You have an account already") == 20
        assert await session_count(database) == 1


async def session_count(database: Database) -> int:
    async with database.session() as session:
        counted: int = await session.fetchval("select count(*) from users")
    return counted
