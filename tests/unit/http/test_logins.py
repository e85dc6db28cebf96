"""The login history and one's own sessions over HTTP: who may read what, and what is asked of the views."""

from dataclasses import dataclass, field
from uuid import UUID

import pytest
from httpx import AsyncClient

from parlor.core.identity.history import LoginViews
from parlor.core.identity.model import MANAGE_USERS, Client
from parlor.core.identity.sessions import EndSession, SessionViews
from parlor.core.identity.use_cases import Principal
from parlor.core.shared.actor import Actor
from parlor.core.shared.errors import NotFound
from parlor.core.shared.ids import SessionId, UserId, uuid7
from parlor.core.shared.paging import Page, PageRequest
from tests.fakes.container import SIGNED_IN, FakeContainer, a_client, a_principal, settings_for_tests
from tests.unit.http.test_identity_routes import HERE, Told

BOB = UserId(UUID("01900000-0000-7000-8000-000000000001"))
KEY = ("2026-03-01T12:00:00+00:00", str(BOB))


@dataclass
class FakeLogins:
    """Ports LoginViews and SessionViews: one item, and more behind it."""

    asked: list[tuple[object, object, PageRequest]] = field(default_factory=list)

    async def page(self, viewer: Actor, user_id: UserId, page: PageRequest) -> Page[bytes]:
        self.asked.append((viewer.user_id, user_id, page))
        if user_id not in (BOB, viewer.user_id):
            raise NotFound
        return Page(b'[{"outcome":"success"}]', KEY)


@dataclass
class FakeSessionViews:
    """Port SessionViews."""

    async def page(self, viewer: Principal, page: PageRequest) -> Page[bytes]:
        return Page(b'[{"id":"%s","limit":%d}]' % (str(viewer.session_id).encode(), page.limit), None)


@pytest.fixture
def logins() -> FakeLogins:
    return FakeLogins()


@pytest.fixture
def fake(logins: FakeLogins) -> FakeContainer:
    ports: dict[object, object] = {LoginViews: logins, SessionViews: FakeSessionViews()}
    return FakeContainer(settings_for_tests(), ports=ports)


async def test_my_logins_come_in_pages(fake: FakeContainer, ada: AsyncClient, logins: FakeLogins) -> None:
    me = fake.authenticate.principal.user.id
    first = (await ada.get("/api/v1/users/me/logins?limit=7")).json()
    assert first["items"] == [{"outcome": "success"}]
    await ada.get("/api/v1/users/me/logins", params={"cursor": first["next_cursor"]})
    assert logins.asked == [(me, me, PageRequest(7)), (me, me, PageRequest(50, KEY))]


@pytest.mark.parametrize("path", ["/users/me/logins", "/users/me/sessions"])
async def test_a_cursor_from_elsewhere_is_refused(ada: AsyncClient, path: str) -> None:
    answer = await ada.get(f"/api/v1{path}?cursor=forged")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_cursor")


@pytest.mark.parametrize("user_id", [str(BOB), "01900000-0000-7000-8000-00000000ffff", "nonsense", "%00"])
async def test_others_logins_are_for_who_manages_users_whatever_the_id(
    ada: AsyncClient, user_id: str
) -> None:
    answer = await ada.get(f"/api/v1/users/{user_id}/logins?cursor=forged")
    assert (answer.status_code, answer.json()["code"]) == (403, "permission_missing")


async def test_who_manages_users_reads_anybodys_logins(fake: FakeContainer, logins: FakeLogins) -> None:
    fake.authenticate.principal = a_principal(frozenset({MANAGE_USERS}))
    async with a_client(fake, **SIGNED_IN) as admin:
        found = await admin.get(f"/api/v1/users/{BOB}/logins")
        unknown = await admin.get(f"/api/v1/users/{uuid7()}/logins")
        nonsense = await admin.get("/api/v1/users/nonsense/logins")
    assert (found.status_code, found.json()["items"]) == (200, [{"outcome": "success"}])
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")
    assert (nonsense.status_code, nonsense.json()["errors"][0]["pointer"]) == (422, "path:user_id")
    assert logins.asked[0] == (fake.authenticate.principal.user.id, BOB, PageRequest(50))


async def test_my_sessions_are_listed(fake: FakeContainer, ada: AsyncClient) -> None:
    answer = await ada.get("/api/v1/users/me/sessions?limit=3")
    mine = fake.authenticate.principal.session_id
    assert answer.json() == {"items": [{"id": str(mine), "limit": 3}], "next_cursor": None}


async def test_a_session_is_ended(fake: FakeContainer, ada: AsyncClient) -> None:
    told = fake.commands[EndSession] = Told()
    session_id = SessionId(uuid7())
    answer = await ada.delete(f"/api/v1/users/me/sessions/{session_id}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert told.arguments == (fake.authenticate.principal, session_id)
    assert told.fields == {"client": HERE}
    assert HERE.ip == Client(ip="127.0.0.1").network


async def test_a_session_that_is_not_mine_is_not_found(fake: FakeContainer, ada: AsyncClient) -> None:
    fake.commands[EndSession] = Told(NotFound())
    answer = await ada.delete(f"/api/v1/users/me/sessions/{uuid7()}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert (await ada.delete("/api/v1/users/me/sessions/nonsense")).status_code == 422


@pytest.mark.parametrize("path", ["/users/me/logins", f"/users/{BOB}/logins", "/users/me/sessions"])
async def test_nobody_signed_in_reads_nothing(client: AsyncClient, path: str) -> None:
    assert (await client.get(f"/api/v1{path}")).status_code == 401
