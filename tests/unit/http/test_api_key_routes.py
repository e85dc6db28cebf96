"""API keys over HTTP: made, listed, ended; and what a request with one may do."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from httpx import AsyncClient

from parlor.core.identity.api_keys import ApiKeyViews
from parlor.core.identity.api_keys_use_cases import CreateApiKey, MadeKey, RevokeApiKey
from parlor.core.identity.model import Client
from parlor.core.shared.actor import Actor
from parlor.core.shared.errors import NotFound
from parlor.core.shared.ids import UserId, uuid7
from parlor.core.shared.paging import Page, PageRequest
from parlor.entrypoints.http.app import make_app
from tests.builders import an_api_key
from tests.fakes.container import KEY, TOKEN, WITH_KEY, FakeContainer, a_client, as_container
from tests.unit.http.task_fakes import TASK_ID, FakeViews
from tests.unit.http.test_identity_routes import Told

KEYS = "/api/v1/api-keys"
NEW = {"name": "films", "scopes": ["tasks:create"]}


class FakeApiKeyViews:
    """Port ApiKeyViews: one page of one key."""

    def __init__(self) -> None:
        self.asked: list[tuple[Actor, PageRequest]] = []

    async def page(self, viewer: Actor, page: PageRequest) -> Page[bytes]:
        self.asked.append((viewer, page))
        return Page(b'[{"id":1}]', ("2026-01-01T00:00:00+00:00", str(uuid7())))


@pytest.fixture
def listed(fake: FakeContainer) -> FakeApiKeyViews:
    views = FakeApiKeyViews()
    fake.ports[ApiKeyViews] = views
    return views


async def test_a_new_key_is_shown_once(fake: FakeContainer, ada: AsyncClient) -> None:
    key = an_api_key(KEY, maker_id=UserId(uuid7()))
    create = fake.commands[CreateApiKey] = Told(MadeKey(key, KEY))
    answer = await ada.post(KEYS, json=NEW | {"expires_at": "2030-01-01T01:00:00+01:00"})
    assert answer.status_code == 201
    assert answer.json() == {
        "id": str(key.id),
        "name": "a service",
        "prefix": "0123456789abcdef",
        "last_four": KEY[-4:],
        "scopes": ["tasks:create"],
        "maker_id": str(key.maker_id),
        "created_at": "2026-03-01T12:00:00.000000Z",
        "expires_at": None,
        "last_used_at": None,
        "key": KEY,
    }
    assert create.arguments == (fake.authenticate.principal,)
    expires_at = datetime(2030, 1, 1, tzinfo=UTC)
    assert create.fields == {
        "name": "films",
        "scopes": frozenset({"tasks:create"}),
        "expires_at": expires_at,
        "client": Client(ip="127.0.0.1", user_agent=ada.headers["user-agent"]),
    }


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"name": ""}, "/name"),
        ({"name": " "}, "/name"),
        ({"name": "x" * 101}, "/name"),
        ({"name": "a\nb"}, "/name"),
        ({"name": None}, "/name"),
        ({"scopes": None}, "/scopes"),
        ({"scopes": "tasks:create"}, "/scopes"),
        ({"scopes": ["tasks"]}, "/scopes/0"),
        ({"scopes": ["a:b", "Tasks:create"]}, "/scopes/1"),
        ({"scopes": ["a:" + "b" * 63]}, "/scopes/0"),
        ({"scopes": ["a:b"] * 51}, "/scopes"),
        ({"expires_at": "tomorrow"}, "/expires_at"),
        ({"expires_at": "2030-01-01T00:00:00"}, "/expires_at"),
        ({"key": KEY}, "/key"),
        ({"maker_id": None}, "/maker_id"),
    ],
    ids=range(15),
)
async def test_a_wrong_field_is_named(ada: AsyncClient, change: dict[str, Any], pointer: str) -> None:
    answer = await ada.post(KEYS, json=NEW | change)
    assert answer.status_code == 422
    assert [flaw["pointer"] for flaw in answer.json()["errors"]] == [pointer]
    assert KEY not in answer.text


async def test_keys_are_listed_in_pages(
    fake: FakeContainer, listed: FakeApiKeyViews, ada: AsyncClient
) -> None:
    answer = await ada.get(KEYS, params={"limit": 1})
    assert answer.json()["items"] == [{"id": 1}]
    await ada.get(KEYS, params={"cursor": answer.json()["next_cursor"]})
    assert [viewer for viewer, _ in listed.asked] == [fake.authenticate.principal.actor] * 2
    assert listed.asked[1][1].after is not None


async def test_a_key_is_ended(fake: FakeContainer, ada: AsyncClient) -> None:
    revoke = fake.commands[RevokeApiKey] = Told()
    key_id = uuid7()
    assert (await ada.delete(f"{KEYS}/{key_id}")).status_code == 204
    assert revoke.arguments == (fake.authenticate.principal.actor, key_id)
    fake.commands[RevokeApiKey] = Told(NotFound())
    assert (await ada.delete(f"{KEYS}/{key_id}")).status_code == 404


# With a key


@pytest.fixture
async def service(fake: FakeContainer) -> Any:
    """Send a key."""
    async with a_client(fake, **WITH_KEY) as client:
        yield client


async def test_a_key_acts_for_itself(fake: FakeContainer, service: AsyncClient, views: FakeViews) -> None:
    actor = fake.knows_key("tasks:create", maker_id=UserId(uuid7()))
    assert (await service.get(f"/api/v1/tasks/{TASK_ID}")).status_code == 200
    assert views.asked[0][0] == actor
    assert fake.authenticate.asked == []


@pytest.mark.parametrize("shown", ["", "x", KEY + "x", TOKEN, f"Bearer {TOKEN}", "\xe9", KEY.upper()])
async def test_what_is_no_key_is_an_invalid_one(client: AsyncClient, shown: str) -> None:
    answer = await client.get("/api/v1/users/me", headers=[(b"x-api-key", shown.encode("latin-1"))])
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_api_key")
    assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'


async def test_a_key_is_no_token_and_a_token_no_key(fake: FakeContainer, client: AsyncClient) -> None:
    fake.knows_key("tasks:create")
    for headers in ({"authorization": f"Bearer {KEY}"}, {"x-api-key": TOKEN}):
        assert (await client.get("/api/v1/task-kinds", headers=headers)).status_code == 401


async def test_a_key_in_the_address_is_not_looked_at(fake: FakeContainer, client: AsyncClient) -> None:
    fake.knows_key("tasks:create")
    for name in ("api_key", "x-api-key", "X-API-Key", "key", "token"):
        answer = await client.get("/api/v1/task-kinds", params={name: KEY})
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert fake.authenticate_key.asked == []


async def test_two_keys_are_ambiguous(client: AsyncClient) -> None:
    answer = await client.get("/api/v1/task-kinds", headers=[("x-api-key", KEY), ("x-api-key", KEY)])
    assert (answer.status_code, answer.json()["code"]) == (401, "ambiguous_credentials")


PEOPLES = [
    ("GET", "/users/me", None),
    ("POST", "/auth/logout", None),
    ("POST", "/realtime/tickets", None),
    ("POST", "/api-keys", NEW),
]


@pytest.mark.parametrize(("method", "path", "body"), PEOPLES)
async def test_what_is_a_persons_own_is_closed_to_every_key(
    fake: FakeContainer, service: AsyncClient, method: str, path: str, body: object
) -> None:
    fake.knows_key(
        "tasks:create", "tasks:manage", "api_keys:manage", "users:manage", maker_id=UserId(uuid7())
    )
    answer = await service.request(method, f"/api/v1{path}", json=body)
    assert (answer.status_code, answer.json()["code"]) == (403, "person_required")


OTHERS = ["/tasks", f"/tasks/{TASK_ID}", f"/tasks/{TASK_ID}/events", "/schedules", "/api-keys"]


@pytest.mark.parametrize("path", OTHERS)
async def test_a_key_without_the_scope_sees_nothing_of_its_makers(
    fake: FakeContainer, service: AsyncClient, path: str
) -> None:
    fake.knows_key("films:watch", maker_id=UserId(uuid7()))
    answer = await service.get(f"/api/v1{path}")
    assert (answer.status_code, answer.json()["code"]) == (403, "permission_missing")


async def test_the_shape_of_a_body_comes_before_what_a_key_may(
    fake: FakeContainer, service: AsyncClient
) -> None:
    """As everywhere: 401, then the body's bytes, its shape, and only then 403."""
    fake.knows_key()
    statuses = [
        (await service.post(KEYS, content=b"{")).status_code,
        (await service.post(KEYS, content=b"{", headers={"content-type": "application/json"})).status_code,
        (await service.post(KEYS, json={})).status_code,
        (await service.post(KEYS, json=NEW)).status_code,
    ]
    assert statuses == [415, 400, 422, 403]


async def test_who_manages_keys_may_do_so_with_a_key(
    fake: FakeContainer, listed: FakeApiKeyViews, service: AsyncClient
) -> None:
    actor = fake.knows_key("api_keys:manage")
    fake.commands[RevokeApiKey] = Told()
    assert (await service.get(KEYS)).status_code == 200
    assert listed.asked[0][0] == actor
    assert (await service.delete(f"{KEYS}/{uuid7()}")).status_code == 204


def test_no_route_of_ones_own_is_open_to_keys_by_mistake(fake: FakeContainer) -> None:
    document = make_app(as_container(fake)).openapi()
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    own = [operation for operation in operations if operation["x-permission"] == "own"]
    assert len(own) > 10
    for operation in own:
        scopes = operation["x-key-scopes"]
        assert ({"apiKey": []} in operation["security"]) is bool(scopes)
        told = operation["responses"]["403"]["description"]
        assert ("permission_missing" if scopes else "person_required") in told
    assert {"bearer": []} in own[0]["security"]
    assert json.dumps(document)
