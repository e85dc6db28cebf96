"""Roles and other people over HTTP: the routes, with the use cases behind them over a store in memory."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from httpx import AsyncClient

from parlor.core.identity.administration import (
    AddRole,
    ChangeRole,
    ChangeStatus,
    EndSessions,
    GrantRole,
    RemoveRole,
    Sought,
    TakeRole,
    UserViews,
)
from parlor.core.identity.model import User, UserStatus
from parlor.core.identity.roles import MANAGE_ROLES, OURS, Permissions, RoleViews, TokenClaims
from parlor.core.shared.errors import NotFound
from parlor.core.shared.ids import UserId, uuid7
from parlor.core.shared.paging import Page, PageRequest
from tests.builders import a_session, a_user
from tests.fakes.clock import FakeClock
from tests.fakes.container import SIGNED_IN, FakeContainer, a_client, a_principal
from tests.fakes.work import FakeDatabase

BASE = "/api/v1"
WATCHER = {"name": "watcher", "description": "Watches.", "permissions": ["films:watch", "films:rate"]}
NOBODY = uuid7()


@dataclass
class FakeViews:
    """Ports RoleViews and UserViews: one role, one user, and what lists were asked for."""

    user_id: UserId = field(default_factory=lambda: UserId(uuid7()))
    asked: list[tuple[PageRequest, Sought | None]] = field(default_factory=list)

    async def one(self, name: str) -> bytes:
        if name != "watcher":
            raise NotFound
        return b'{"name": "watcher"}'

    async def public(self, user_id: UserId) -> bytes:
        if user_id != self.user_id:
            raise NotFound
        return b'{"display_name": "Ada"}'

    async def page(self, page: PageRequest, sought: Sought | None = None) -> Page[bytes]:
        self.asked.append((page, sought))
        return Page(b"[]", ("key",))


@pytest.fixture
def database() -> FakeDatabase:
    return FakeDatabase(FakeClock())


@pytest.fixture
def shown(fake: FakeContainer, database: FakeDatabase) -> FakeViews:
    """Put the use cases and views behind the routes."""
    views = FakeViews()
    work, clock, claims = database.work, database.clock, TokenClaims()
    fake.ports |= {RoleViews: views, UserViews: views}
    fake.commands |= {
        AddRole: AddRole(work, Permissions()),
        ChangeRole: ChangeRole(work, Permissions()),
        RemoveRole: RemoveRole(work, claims, clock),
        GrantRole: GrantRole(work, claims, clock),
        TakeRole: TakeRole(work, claims, clock),
        ChangeStatus: ChangeStatus(work, clock),
        EndSessions: EndSessions(work, clock),
    }
    return views


@pytest.fixture
async def root(fake: FakeContainer, shown: FakeViews) -> AsyncIterator[AsyncClient]:
    """Sign an admin in."""
    fake.authenticate.principal = a_principal(OURS)
    async with a_client(fake, **SIGNED_IN) as client:
        yield client


@pytest.fixture
async def ada(fake: FakeContainer, shown: FakeViews) -> AsyncIterator[AsyncClient]:
    """Sign somebody in who may nothing here."""
    async with a_client(fake, **SIGNED_IN) as client:
        yield client


async def stored(database: FakeDatabase, **fields: Any) -> User:
    user = a_user(**fields)
    async with database.work() as work:
        await work.users.add(user)
        await work.sessions.add(user, a_session(user))
    return user


def now(database: FakeDatabase, user: User) -> User:
    return database.store.identity.users[user.id]


# Roles


async def test_a_role_is_made_and_said_where_it_is(root: AsyncClient) -> None:
    answer = await root.post(f"{BASE}/roles", json=WATCHER)
    assert (answer.status_code, answer.headers["location"]) == (201, f"{BASE}/roles/watcher")
    assert answer.json() == WATCHER | {"permissions": ["films:rate", "films:watch"]}
    assert "etag" not in answer.headers
    twin = await root.post(f"{BASE}/roles", json=WATCHER)
    assert (twin.status_code, twin.json()["code"]) == (409, "role_exists")


async def test_a_name_is_enough(root: AsyncClient) -> None:
    """Other services may know what to do with it."""
    answer = await root.post(f"{BASE}/roles", json={"name": "watcher"})
    assert (answer.status_code, answer.json()["permissions"]) == (201, [])


@pytest.mark.parametrize("description", ["", "one\nline\tand another"])
async def test_a_description_may_have_lines(root: AsyncClient, description: str) -> None:
    answer = await root.post(f"{BASE}/roles", json=WATCHER | {"description": description})
    assert (answer.status_code, answer.json()["description"]) == (201, description)


@pytest.mark.parametrize(
    ("wrong", "pointer", "code"),
    [
        ({"name": ""}, "/name", "invalid_format"),
        ({"name": "Watcher"}, "/name", "invalid_format"),
        ({"name": "a b"}, "/name", "invalid_format"),
        ({"name": "a/b"}, "/name", "invalid_format"),
        ({"name": ".."}, "/name", "invalid_format"),
        ({"name": "a" * 65}, "/name", "invalid_format"),
        ({"name": "watcher\n"}, "/name", "control_character"),
        ({"name": 1}, "/name", "wrong_type"),
        ({"description": "a\u0000"}, "/description", "control_character"),
        ({"description": "x" * 501}, "/description", "too_long"),
        ({"description": None}, "/description", "wrong_type"),
        ({"permissions": "films:watch"}, "/permissions", "wrong_type"),
        ({"permissions": ["films:watch"] * 101}, "/permissions", "too_long"),
        ({"permissions": ["films:watch", "films"]}, "/permissions/1", "invalid_permission"),
        ({"permissions": ["users:fly"]}, "/permissions/0", "unknown_permission"),
        ({"id": 1}, "/id", "unknown_field"),
    ],
)
async def test_what_can_be_no_role_is_told_with_its_place(
    root: AsyncClient, database: FakeDatabase, wrong: dict[str, Any], pointer: str, code: str
) -> None:
    answer = await root.post(f"{BASE}/roles", json=WATCHER | wrong)
    assert (answer.status_code, answer.json()["code"]) in {(422, "invalid_request"), (422, code)}
    assert [(flaw["pointer"], flaw["code"]) for flaw in answer.json()["errors"]] == [(pointer, code)]
    assert set(database.store.identity.roles) == {"admin", "user"}


async def test_a_role_is_changed_in_what_is_sent(root: AsyncClient) -> None:
    await root.post(f"{BASE}/roles", json=WATCHER)
    changes: list[dict[str, Any]] = [
        {"description": "Sees."},
        {"permissions": ["films:cut"]},
        {"permissions": []},
        {},
    ]
    for change in changes:
        before = (await root.patch(f"{BASE}/roles/watcher", json={})).json()
        answer = await root.patch(f"{BASE}/roles/watcher", json=change)
        assert (answer.status_code, answer.json()) == (200, before | change)


@pytest.mark.parametrize("change", [{"permissions": None}, {"description": None}, {"name": "x"}, []])
async def test_a_change_that_can_be_none_is_invalid(root: AsyncClient, change: object) -> None:
    await root.post(f"{BASE}/roles", json=WATCHER)
    assert (await root.patch(f"{BASE}/roles/watcher", json=change)).status_code == 422


async def test_a_role_is_shown_and_removed(root: AsyncClient) -> None:
    await root.post(f"{BASE}/roles", json=WATCHER)
    one = await root.get(f"{BASE}/roles/watcher")
    assert (one.status_code, one.headers["content-type"]) == (200, "application/json")
    assert "etag" not in one.headers
    assert (await root.delete(f"{BASE}/roles/watcher")).status_code == 204
    assert (await root.delete(f"{BASE}/roles/watcher")).status_code == 404


async def test_roles_are_listed(root: AsyncClient, shown: FakeViews) -> None:
    answer = await root.get(f"{BASE}/roles?limit=7")
    cursor = answer.json()["next_cursor"]
    assert (answer.status_code, answer.json()["items"]) == (200, [])
    assert (await root.get(f"{BASE}/roles", params={"cursor": cursor})).status_code == 200
    assert shown.asked == [(PageRequest(7), None), (PageRequest(50, ("key",)), None)]
    assert (await root.get(f"{BASE}/users", params={"cursor": cursor})).json()["code"] == "invalid_cursor"


@pytest.mark.parametrize("name", ["nothing", "Admin", "%00", "a%20b", "%F0%9F%98%80", "a" * 300])
async def test_a_name_that_no_role_has_is_not_found(root: AsyncClient, name: str) -> None:
    user = f"{BASE}/users/{NOBODY}/roles/{name}"
    asked: list[tuple[str, Any]] = [("GET", None), ("PATCH", {}), ("DELETE", None)]
    for method, body in asked:
        answer = await root.request(method, f"{BASE}/roles/{name}", json=body)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), method
    for method in ("PUT", "DELETE"):
        assert (await root.request(method, user)).status_code == 404


@pytest.mark.parametrize("name", ["admin", "user"])
async def test_the_built_in_ones_are_neither_removed_nor_emptied(root: AsyncClient, name: str) -> None:
    for answer in (
        await root.delete(f"{BASE}/roles/{name}"),
        await root.patch(f"{BASE}/roles/{name}", json={"permissions": []}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, "builtin_role")


# Holding one


async def test_a_role_is_granted_and_taken_as_often_as_one_likes(
    root: AsyncClient, database: FakeDatabase
) -> None:
    bob = await stored(database)
    await root.post(f"{BASE}/roles", json=WATCHER)
    for method, held in (("PUT", True), ("PUT", True), ("DELETE", False), ("DELETE", False)):
        answer = await root.request(method, f"{BASE}/users/{bob.id}/roles/watcher")
        assert (answer.status_code, answer.content) == (204, b"")
        assert ("watcher" in now(database, bob).roles) == held


async def test_a_list_has_items_and_a_text_characters(root: AsyncClient) -> None:
    wrong = {"description": "x" * 501, "permissions": ["films:watch"] * 101}
    answer = await root.post(f"{BASE}/roles", json=WATCHER | wrong)
    assert [error["detail"] for error in answer.json()["errors"]] == [
        "This may have at most 500 characters.",
        "This may have at most 100 items.",
    ]


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_a_role_is_granted_and_taken_under_the_users_tag(
    root: AsyncClient, database: FakeDatabase, method: str
) -> None:
    await root.post(f"{BASE}/roles", json=WATCHER)
    bob = await stored(database, version=4, roles=frozenset({"user"} if method == "PUT" else {"watcher"}))
    path = f"{BASE}/users/{bob.id}/roles/watcher"
    for tag, status in {'"3"': 412, 'W/"4"': 412, "4": 422, '"3", "4"': 204, "*": 204, '"4"': 412}.items():
        answer = await root.request(method, path, headers={"If-Match": tag})
        assert answer.status_code == status, tag
    assert now(database, bob).version == 5


async def test_what_one_does_not_hold_one_cannot_give(
    fake: FakeContainer, root: AsyncClient, database: FakeDatabase
) -> None:
    bob = await stored(database)
    await root.post(f"{BASE}/roles", json=WATCHER)
    fake.authenticate.principal = a_principal(frozenset({MANAGE_ROLES}))
    for answer in (
        await root.put(f"{BASE}/users/{bob.id}/roles/admin"),
        await root.put(f"{BASE}/users/{bob.id}/roles/watcher"),
        await root.patch(f"{BASE}/roles/watcher", json={"permissions": ["films:cut"]}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "permission_not_held")
    assert (await root.put(f"{BASE}/users/{NOBODY}/roles/admin")).status_code == 404


async def test_the_last_admin_stays_whatever_the_route(root: AsyncClient, database: FakeDatabase) -> None:
    eve = await stored(database, roles=frozenset({"admin"}))
    for answer in (
        await root.delete(f"{BASE}/users/{eve.id}/roles/admin"),
        await root.patch(f"{BASE}/users/{eve.id}", json={"status": "disabled"}),
        await root.patch(f"{BASE}/roles/admin", json={"permissions": ["users:manage"]}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, "last_admin")
    assert now(database, eve) == eve


# Other people


async def test_a_user_is_disabled_and_enabled_under_a_tag(root: AsyncClient, database: FakeDatabase) -> None:
    bob = await stored(database)
    url = f"{BASE}/users/{bob.id}"
    off = await root.patch(url, json={"status": "disabled"}, headers={"if-match": '"1"'})
    assert (off.status_code, off.headers["etag"]) == (200, '"2"')
    assert (off.json()["id"], off.json()["status"], off.json()["version"]) == (str(bob.id), "disabled", 2)
    stale = await root.patch(url, json={"status": "active"}, headers={"if-match": '"1"'})
    assert (stale.status_code, stale.json()["code"]) == (412, "version_mismatch")
    wrong = await root.patch(url, json={"status": "active"}, headers={"if-match": "2"})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "invalid_if_match")
    same = await root.patch(url, json={})
    assert (same.status_code, same.headers["etag"], same.json()["status"]) == (200, '"2"', "disabled")
    on = await root.patch(url, json={"status": "active"}, headers={"if-match": "*"})
    assert (on.status_code, on.headers["etag"], on.json()["status"]) == (200, '"3"', "active")
    assert now(database, bob).status is UserStatus.ACTIVE


@pytest.mark.parametrize("body", [{"status": "gone"}, {"status": None}, {"roles": []}, {"email": "a@b"}])
async def test_nothing_else_about_a_user_is_changed(
    root: AsyncClient, database: FakeDatabase, body: dict[str, Any]
) -> None:
    bob = await stored(database)
    assert (await root.patch(f"{BASE}/users/{bob.id}", json=body)).status_code == 422
    assert now(database, bob) == bob


async def test_sessions_of_a_user_end(root: AsyncClient, database: FakeDatabase) -> None:
    bob = await stored(database)
    assert (await root.delete(f"{BASE}/users/{bob.id}/sessions")).status_code == 204
    assert {one.ended_at is None for one in database.store.identity.sessions.values()} == {False}


async def test_users_are_sought(root: AsyncClient, shown: FakeViews) -> None:
    await root.get(f"{BASE}/users")
    await root.get(f"{BASE}/users?q=&role=")
    await root.get(f"{BASE}/users?q=%20Ada%20L%20&role=admin&status=disabled&limit=3&more=1")
    sought = Sought("Ada L", "admin", UserStatus.DISABLED)
    nothing = (PageRequest(50), Sought())
    assert shown.asked == [nothing, nothing, (PageRequest(3), sought)]


@pytest.mark.parametrize(
    "query", ["q=%00", "q=" + "x" * 101, "role=%01", "status=gone", "limit=0", "limit=101"]
)
async def test_what_nobody_can_be_sought_by_is_invalid(root: AsyncClient, query: str) -> None:
    answer = await root.get(f"{BASE}/users?{query}")
    pointer = f"query:{query.partition('=')[0]}"
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)


async def test_everybody_signed_in_sees_a_name(
    ada: AsyncClient, client: AsyncClient, shown: FakeViews
) -> None:
    seen = await ada.get(f"{BASE}/users/{shown.user_id}")
    assert (seen.status_code, seen.content) == (200, b'{"display_name": "Ada"}')
    assert (await ada.get(f"{BASE}/users/{NOBODY}")).status_code == 404
    assert (await ada.get(f"{BASE}/users/nonsense")).json()["errors"][0]["pointer"] == "path:user_id"
    assert (await client.get(f"{BASE}/users/{shown.user_id}")).status_code == 401


async def test_who_one_is_is_no_id(ada: AsyncClient) -> None:
    assert (await ada.get(f"{BASE}/users/me")).json()["email"] == "ada@example.org"


# Who may


CLOSED = [
    ("GET", "/roles?cursor=forged", None),
    ("POST", "/roles", WATCHER | {"permissions": ["nonsense"]}),
    ("GET", "/roles/nothing", None),
    ("PATCH", "/roles/nothing", {}),
    ("DELETE", "/roles/nothing", None),
    ("PUT", f"/users/{NOBODY}/roles/admin", None),
    ("DELETE", "/users/nonsense/roles/nothing", None),
    ("GET", "/users?cursor=forged", None),
    ("PATCH", f"/users/{NOBODY}", {"status": "disabled"}),
    ("PATCH", "/users/nonsense", {}),
    ("DELETE", f"/users/{NOBODY}/sessions", None),
    ("DELETE", "/users/nonsense/sessions", None),
]
CLOSED_IDS = [f"{method} {number}" for number, (method, *_) in enumerate(CLOSED)]


@pytest.mark.parametrize(("method", "path", "body"), CLOSED, ids=CLOSED_IDS)
async def test_others_lack_a_permission_whatever_they_ask_for(
    ada: AsyncClient, shown: FakeViews, method: str, path: str, body: object
) -> None:
    """Before any id, name or cursor is looked at."""
    answer = await ada.request(method, BASE + path, json=body, headers={"if-match": "nonsense"})
    assert (answer.status_code, answer.json()["code"]) == (403, "permission_missing")
    assert shown.asked == []
    del ada.headers["authorization"]
    assert (await ada.request(method, BASE + path, json=body)).status_code == 401


async def test_an_id_that_is_none_is_told_with_its_place(root: AsyncClient) -> None:
    asked = [("PUT", "/roles/admin"), ("DELETE", "/roles/admin"), ("PATCH", ""), ("DELETE", "/sessions")]
    for method, rest in asked:
        body: dict[str, Any] | None = {} if method == "PATCH" else None
        answer = await root.request(method, f"{BASE}/users/nonsense{rest}", json=body)
        assert (answer.status_code, answer.json()["errors"]) == (
            422,
            [{"pointer": "path:user_id", "code": "invalid_uuid", "detail": "This must be a UUID."}],
        ), method
