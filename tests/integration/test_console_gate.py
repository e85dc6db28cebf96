"""The console's gate: which cookies open it, for how long, and who is let in through its door."""

import re
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from uuid import UUID

import httpx
import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from parlor.core.identity.console import CONSOLE_IDLE, CONSOLE_LIFE, EnterConsole, Visit
from parlor.core.identity.model import Client
from parlor.core.identity.ports import PasswordHasher
from parlor.core.identity.throttling import LOGIN_BY_ACCOUNT
from parlor.core.shared.ids import SessionId, UserId
from parlor.entrypoints.admin.cookies import FLASH, SESSION
from parlor.entrypoints.admin.gate import Papers
from parlor.entrypoints.admin.seals import Seals
from tests.builders import PASSWORD
from tests.chat_house import House, Person, a_house
from tests.fakes.container import settings_for_tests

pytestmark = pytest.mark.asyncio(loop_scope="module")

TOKEN = re.compile(r'name="csrf" value="([^"]+)"')
IDLE_S, LIFE_S = CONSOLE_IDLE.total_seconds(), CONSOLE_LIFE.total_seconds()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(postgres_url: str, template: str) -> AsyncIterator[House]:
    settings = {"PARLOR_CONSOLE": "true", "PARLOR_BCRYPT_COST": "4", "PARLOR_THROTTLE_SCALE": "1"}
    async with a_house(postgres_url, template, **settings) as house:
        yield house


@pytest_asyncio.fixture(loop_scope="module")
async def admin(house: House) -> Person:
    return await with_password(house, await house.person("Ada", "admin"))


@pytest_asyncio.fixture(loop_scope="module")
async def visit(house: House, admin: Person) -> Visit:
    enter = house.container.build(EnterConsole)
    return await enter(email=await email_of(house, admin), password=PASSWORD, client=Client("192.0.2.7"))


@pytest_asyncio.fixture(loop_scope="module")
async def client(house: House) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=house.transport, base_url="http://test") as client:
        yield client


async def with_password(house: House, person: Person) -> Person:
    known = await house.container.get(PasswordHasher).hash(PASSWORD)
    await house.sql.execute("update users set password_hash = $1 where id = $2", known, person.id)
    return person


async def email_of(house: House, person: Person) -> str:
    found: str = await house.sql.value("select email from users where id = $1", person.id)
    return found


async def show(house: House, client: httpx.AsyncClient, visit: Visit) -> httpx.Response:
    """Come with a cookie of this visit."""
    papers = Papers.of(house.container.settings)
    value = papers.let_in(visit).partition("=")[2].partition(";")[0]
    return await client.get("/admin/", headers={"cookie": f"{SESSION}={value}"})


async def log_in(client: httpx.AsyncClient, email: str, password: str = PASSWORD) -> httpx.Response:
    found = TOKEN.search((await client.get("/admin/login")).text)
    assert found is not None
    return await client.post("/admin/login", data={"username": email, "password": password, "csrf": found[1]})


async def test_a_visit_opens_the_console(house: House, client: httpx.AsyncClient, visit: Visit) -> None:
    answer = await show(house, client, visit)
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers


async def test_a_visit_is_seen_again_once_a_minute(
    house: House, client: httpx.AsyncClient, visit: Visit
) -> None:
    answer = await show(house, client, replace(visit, seen_at=time.time() - 61))
    assert answer.headers["set-cookie"].startswith(f"{SESSION}=")


OVER: dict[str, Callable[[Visit], Visit]] = {
    "idle": lambda visit: replace(visit, seen_at=visit.seen_at - IDLE_S),
    "old": lambda visit: replace(visit, came_at=visit.came_at - LIFE_S),
    "of an earlier epoch": lambda visit: replace(visit, epoch=visit.epoch - 1),
    "of another session": lambda visit: replace(visit, session_id=SessionId(UUID(int=7))),
    "of another user": lambda visit: replace(visit, user_id=UserId(UUID(int=7))),
}


@pytest.mark.parametrize("change", OVER.values(), ids=OVER)
async def test_a_visit_that_is_over_opens_nothing(
    house: House, client: httpx.AsyncClient, visit: Visit, change: Callable[[Visit], Visit]
) -> None:
    answer = await show(house, client, change(visit))
    assert (answer.status_code, answer.headers["location"]) == (303, "/admin/login?next=/admin/")
    assert answer.headers["set-cookie"].startswith(f"{SESSION}=; Max-Age=0;")


async def test_what_changes_about_an_account_ends_its_visits(
    house: House, client: httpx.AsyncClient, admin: Person, visit: Visit
) -> None:
    given = {"current_password": PASSWORD, "new_password": "another horse 42"}
    changed = await admin.client.post("/api/v1/users/me/password", json=given)
    assert changed.status_code == 204, changed.text
    assert (await show(house, client, visit)).status_code == 303


async def test_ended_from_the_list_of_ones_sessions_a_visit_is_over(
    house: House, client: httpx.AsyncClient, admin: Person, visit: Visit
) -> None:
    listed = (await admin.client.get("/api/v1/users/me/sessions")).json()["items"]
    assert str(visit.session_id) in {one["id"] for one in listed}
    await admin.client.delete(f"/api/v1/users/me/sessions/{visit.session_id}")
    assert (await show(house, client, visit)).status_code == 303


async def test_who_loses_the_role_is_shown_nothing_more(
    house: House, client: httpx.AsyncClient, admin: Person, visit: Visit
) -> None:
    keeper = await house.person("Keeper", "admin")
    await keeper.client.delete(f"/api/v1/users/{admin.id}/roles/admin")
    answer = await show(house, client, visit)
    assert answer.status_code == 403
    assert "/admin/user/list" not in answer.text


@pytest.mark.parametrize(
    "forged", ["", "x", "a.b", "=" * 4100, "\u00e9"], ids=["empty", "x", "dot", "long", "foreign"]
)
async def test_what_was_not_sealed_here_opens_nothing(client: httpx.AsyncClient, forged: str) -> None:
    answer = await client.get("/admin/", headers=[(b"cookie", f"{SESSION}={forged}".encode())])
    assert answer.status_code == 303


async def test_what_is_sealed_for_one_purpose_is_nothing_for_another(
    house: House, client: httpx.AsyncClient, visit: Visit
) -> None:
    told = [str(visit.user_id), str(visit.session_id), visit.epoch, visit.came_at, visit.seen_at]
    value = Seals("flash", house.container.settings.secrets).seal(told)
    assert (await client.get("/admin/", headers={"cookie": f"{SESSION}={value}"})).status_code == 303
    assert (await client.get("/admin/", headers={"cookie": f"{FLASH}={value}"})).status_code == 303


async def test_a_secret_that_is_no_longer_the_newest_goes_on_to_open() -> None:
    old, new = "o" * 32, "n" * 32
    sealed = Seals("visit", [old]).seal([1])
    assert Seals("visit", [new, old]).open(sealed) == [1]
    assert Seals("visit", [new]).open(sealed) is None


async def test_a_login_stands_in_the_history_by_its_door(
    house: House, client: httpx.AsyncClient, admin: Person
) -> None:
    email = await email_of(house, admin)
    assert (await log_in(client, email, "wrong")).status_code == 401
    assert (await log_in(client, email)).status_code == 303
    lines = (await admin.client.get("/api/v1/users/me/logins")).json()["items"]
    assert [(line["method"], line["outcome"]) for line in lines] == [
        ("console", "success"),
        ("console", "wrong_password"),
    ]


async def test_who_may_manage_nothing_gets_no_session(house: House, client: httpx.AsyncClient) -> None:
    bob = await with_password(house, await house.person("Bob"))
    answer = await log_in(client, await email_of(house, bob))
    assert answer.status_code == 403
    assert SESSION not in answer.headers.get("set-cookie", "")
    assert await house.sql.value("select count(*) from sessions where user_id = $1", bob.id) == 1
    (line,) = await house.sql.rows(
        "select outcome, method, session_id from logins where user_id = $1", bob.id
    )
    assert line == {"outcome": "success", "method": "console", "session_id": None}  # the password was right


async def test_each_request_is_logged_with_who_asked_and_what_was_read(
    house: House, client: httpx.AsyncClient, admin: Person, visit: Visit
) -> None:
    papers = Papers.of(house.container.settings)
    cookie = {"cookie": f"{SESSION}={papers.let_in(visit).partition('=')[2].partition(';')[0]}"}
    with capture_logs() as lines:
        for path in ("message/list", "nothing/list", "statics/console.css"):
            await client.get(f"/admin/{path}", headers=cookie)
    told = [(line["route"], line["actor"]) for line in lines if line["event"] == "request"]
    assert told == [
        ("/admin/message/list", f"user:{admin.id}"),
        ("/admin/{identity}/list", f"user:{admin.id}"),
        ("/admin/statics/{path}", None),
    ]


async def test_a_disabled_admin_is_told_what_everybody_is(
    house: House, client: httpx.AsyncClient, admin: Person
) -> None:
    await house.sql.execute("update users set status = 'disabled' where id = $1", admin.id)
    answer = await log_in(client, await email_of(house, admin))
    assert answer.status_code == 401
    assert "The e-mail address or the password is wrong." in answer.text


async def test_guesses_are_throttled_as_those_of_the_api_are(
    house: House, client: httpx.AsyncClient, admin: Person
) -> None:
    email = await email_of(house, admin)
    for _ in range(LOGIN_BY_ACCOUNT.tries + 1):
        await log_in(client, email, "wrong")
    refused = await log_in(client, email)
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) >= 1
    assert (
        await house.sql.value(
            "select method from logins where user_id = $1 and outcome = 'throttled'", admin.id
        )
        == "console"
    )


@pytest.mark.parametrize(
    ("asked", "led"),
    [
        ("/admin/task/list", "/admin/task/list"),
        ("https://evil.example/", "/admin/"),
        ("//evil.example", "/admin/"),
        ("/admin/../docs", "/admin/"),
        ("/admin//evil.example", "/admin/"),
        ("/admin/\\evil", "/admin/"),
        ("/docs", "/admin/"),
    ],
)
async def test_a_login_leads_nowhere_else(
    house: House, client: httpx.AsyncClient, admin: Person, asked: str, led: str
) -> None:
    found = TOKEN.search((await client.get("/admin/login")).text)
    assert found is not None
    form = {"username": await email_of(house, admin), "password": PASSWORD, "csrf": found[1], "next": asked}
    assert (await client.post("/admin/login", data=form)).headers["location"] == led


async def test_behind_https_cookies_are_sent_over_it_only() -> None:
    safe = Papers.of(settings_for_tests(PARLOR_PUBLIC_URL="https://parlor.example.org"))
    assert safe.jar.keep("a", "b") == "a=b; Path=/admin; HttpOnly; SameSite=Strict; Secure"


async def test_a_script_that_is_signed_out_is_told_so(client: httpx.AsyncClient) -> None:
    answer = await client.get("/admin/user/list", headers={"sec-fetch-mode": "cors"})
    assert (answer.status_code, answer.headers.get("www-authenticate")) == (401, None)


async def test_an_oversized_form_is_refused_with_a_page(house: House, client: httpx.AsyncClient) -> None:
    body = "a=" + "x" * house.container.settings.max_body_bytes
    headers = {"content-type": "application/x-www-form-urlencoded"}
    answer = await client.post("/admin/login", content=body, headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (413, "text/html; charset=utf-8")
    broken = await client.post("/admin/login", content=b"a=%ff", headers=headers)
    assert broken.status_code == 400
    assert (await client.post("/admin/login", json={"csrf": "x"})).status_code == 403
    assert (await client.delete("/admin/login")).status_code == 403


async def test_scripts_are_kept_by_browsers_and_asked_for_anew(client: httpx.AsyncClient) -> None:
    """After an upgrade no page is shown by an old script."""
    answer = await client.get("/admin/statics/console.css")
    assert answer.headers["cache-control"] == "public, no-cache"
    known = {"if-none-match": answer.headers["etag"]}
    assert (await client.get("/admin/statics/console.css", headers=known)).status_code == 304
