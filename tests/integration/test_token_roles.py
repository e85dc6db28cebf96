"""`PARLOR_TOKEN_CLAIMS=roles`: tokens say what their user is, and end when that changes."""

import base64
from typing import Any

import httpx
import orjson

from parlor.core.identity.use_cases import Register
from tests.serving import Api, an_api

ACCOUNT = {"email": "ada@example.org", "password": "correct horse 42"}


def claims(token: str) -> dict[str, Any]:
    body = token.split(".")[1]
    read: dict[str, Any] = orjson.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return read


async def pair(client: httpx.AsyncClient) -> dict[str, Any]:
    answer: dict[str, Any] = (await client.post("/auth/login", json=ACCOUNT)).json()
    client.headers["authorization"] = f"Bearer {answer['access_token']}"
    return answer


async def registered(api: Api) -> httpx.AsyncClient:
    await api.container.command(Register)(
        email=ACCOUNT["email"],
        password=ACCOUNT["password"],
        display_name=None,
        roles=frozenset({"user", "admin"}),
    )
    return httpx.AsyncClient(base_url=f"{api.base}/api/v1", trust_env=False)


async def test_tokens_name_roles_where_they_are_asked_to_and_end_when_those_change(database_url: str) -> None:
    async with an_api(database_url, PARLOR_TOKEN_CLAIMS="roles") as api, await registered(api) as ada:
        first = await pair(ada)
        assert claims(first["access_token"])["roles"] == ["admin", "user"]
        me = (await ada.get("/users/me")).json()["id"]
        await ada.post("/roles", json={"name": "watcher", "permissions": ["films:watch"]})
        assert (await ada.put(f"/users/{me}/roles/watcher")).status_code == 204
        assert (await ada.get("/users/me")).status_code == 401
        again = (await ada.post("/auth/refresh", json={"refresh_token": first["refresh_token"]})).json()
        assert claims(again["access_token"])["roles"] == ["admin", "user", "watcher"]
        ada.headers["authorization"] = f"Bearer {again['access_token']}"
        assert (await ada.patch("/roles/watcher", json={"permissions": []})).status_code == 200
        assert (await ada.delete("/roles/watcher")).status_code == 204
        assert (await ada.get("/users/me")).status_code == 401
        assert claims((await pair(ada))["access_token"])["roles"] == ["admin", "user"]


async def test_tokens_say_nothing_of_roles_where_they_are_not_asked_to(database_url: str) -> None:
    async with an_api(database_url) as api, await registered(api) as ada:
        token = (await pair(ada))["access_token"]
        assert set(claims(token)) == {"iss", "aud", "sub", "sid", "jti", "epoch", "iat", "exp"}
        me = (await ada.get("/users/me")).json()["id"]
        await ada.post("/roles", json={"name": "watcher", "permissions": ["films:watch"]})
        assert (await ada.put(f"/users/{me}/roles/watcher")).status_code == 204
        assert (await ada.get("/users/me")).json()["roles"] == ["admin", "user", "watcher"]
