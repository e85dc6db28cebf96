"""The console in a real browser: who comes in, what they see, what they do, and what nobody else can make them do."""

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.browser import a_browser
from tests.builders import PASSWORD
from tests.conftest import named
from tests.databases import drop, execute
from tests.sample import Sample, fill
from tests.serving import Api, an_api
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.asyncio(loop_scope="module")

LISTS = (
    "user",
    "role",
    "session",
    "api-key",
    "login-entry",
    "party",
    "chat",
    "message",
    "task",
    "schedule",
    "dead-letter",
)
TOKEN = re.compile(r'name="csrf" value="([^"]+)"')
SECRETS = re.compile(r"\$2[aby]\$|v2:|fingerprint|password_hash", re.IGNORECASE)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(postgres_url: str, template: str) -> AsyncIterator[Api]:
    """Serve one application for the file."""
    name = f"parlor_test_{uuid4().hex}"
    await execute(postgres_url, f"create database {name} template {template} strategy file_copy")
    async with an_api(named(postgres_url, name), PARLOR_CONSOLE="true") as api:
        yield api
    await drop(postgres_url, name)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sample(api: Api) -> Sample:
    return await fill(api)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with a_browser() as browser:
        yield browser


@asynccontextmanager
async def a_window(browser: Browser, api: Api) -> AsyncIterator[Page]:
    """Open one without anybody's cookies."""
    context = await browser.new_context(base_url=api.base)
    context.set_default_timeout(PATIENCE_S * 1000)
    yield await context.new_page()
    await context.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ada(browser: Browser, api: Api, sample: Sample) -> AsyncIterator[Page]:
    """Sign an administrator in, for all tests of the file: what they share is in the browser's cache."""
    async with a_window(browser, api) as page:
        await sign_in(page, sample.email("Ada"))
        yield page


async def sign_in(page: Page, email: str, password: str = PASSWORD) -> None:
    """Fill in the form and send it."""
    await page.goto("/admin/")
    await page.fill("#email", email)
    await page.fill("#password", password)
    await page.click("button[type=submit]")
    await page.wait_for_load_state()


@asynccontextmanager
async def a_visitor(api: Api, email: str) -> AsyncIterator[httpx.AsyncClient]:
    """Sign in without a browser, for what a browser would not do."""
    async with httpx.AsyncClient(base_url=api.base, trust_env=False) as client:
        form = await client.get("/admin/login")
        given = {"username": email, "password": PASSWORD, "csrf": token_in(form), "next": "/admin/"}
        answer = await client.post("/admin/login", data=given)
        assert answer.headers.get("location") == "/admin/", answer.text
        yield client


def token_in(answer: httpx.Response) -> str:
    found = TOKEN.search(answer.text)
    assert found is not None, answer.text
    return found[1]


async def test_who_signs_in_is_told_why_not_or_let_in_and_out(
    browser: Browser, api: Api, sample: Sample
) -> None:
    async with a_window(browser, api) as page:
        await sign_in(page, sample.email("Grace"))
        await expect(page.locator("[role=alert]")).to_contain_text("may not use the console")
        await sign_in(page, sample.email("Ada"))
        await expect(page.locator("h1")).to_have_text("Console")
        await page.click("text=Sign out")
        await expect(page.locator("[role=status]")).to_have_text("You are signed out.")
        await page.goto("/admin/user/list")
        await expect(page).to_have_url(re.compile(r"/admin/login\?next=/admin/user/list$"))


async def test_a_wrong_password_and_an_unknown_address_look_the_same(api: Api, sample: Sample) -> None:
    told = []
    for email in (sample.email("Ada"), "nobody@example.org"):
        async with httpx.AsyncClient(base_url=api.base, trust_env=False) as client:
            csrf = token_in(await client.get("/admin/login"))
            answer = await client.post(
                "/admin/login", data={"username": email, "password": "wrong", "csrf": csrf}
            )
            told.append((answer.status_code, answer.text.replace(email, "").replace(csrf, "")))
    assert told[0] == told[1]
    assert told[0][0] == 401


async def test_every_list_opens_with_rows_and_the_policy_forbids_none_of_it(ada: Page) -> None:
    complaints: list[str] = []
    ada.on("console", lambda message: complaints.append(message.text))
    ada.on("pageerror", lambda error: complaints.append(str(error)))
    for name in LISTS:
        await ada.goto(f"/admin/{name}/list")
        await expect(ada.locator("a.console-first").first).to_be_visible()
    await ada.locator("a.console-first").first.click()
    await expect(ada.locator(".console-details")).to_be_visible()
    assert complaints == []


async def test_no_page_shows_what_is_secret(api: Api, sample: Sample) -> None:
    async with a_visitor(api, sample.email("Ada")) as ada:
        for name in LISTS:
            rows = await ada.get(f"/admin/{name}/list")
            details = await ada.get(re.findall(rf"/admin/{name}/details/[^\"]+", rows.text)[0])
            assert details.status_code == 200
            assert not SECRETS.search(rows.text + details.text), name


async def test_a_failed_task_runs_again(ada: Page, sample: Sample) -> None:
    await ada.goto("/admin/task/list?status=failed")
    boxes = ada.locator("input[name=id]")
    await expect(ada.locator("button[value=retry]")).to_be_disabled()
    number = await boxes.count()
    await ada.check("[data-choose-all]")
    await ada.click("button[value=retry]")
    await expect(ada.locator("[role=status]")).to_have_text(f"{number} tasks were queued again.")
    statuses = await sample.sql.statuses()
    assert {statuses[one] for one in sample.failed} == {"queued"}
    await expect(ada.locator(".console-none")).to_have_text("Nothing fits.")


async def test_a_dead_letter_is_sent_again_once(ada: Page, sample: Sample) -> None:
    await ada.goto("/admin/dead-letter/list?reason=unknown_kind")
    await ada.check("input[name=id]")
    await ada.click("button[value=replay]")
    await expect(ada.locator("[role=status]")).to_have_text("unknown_kind was sent again.")
    await ada.check("input[name=id]")
    await ada.click("button[value=replay]")
    await expect(ada.locator("[role=alert]")).to_contain_text("unknown_kind was not sent again. ")


async def test_a_role_is_made_and_given_and_opens_the_console(
    ada: Page, browser: Browser, api: Api, sample: Sample
) -> None:
    await ada.goto("/admin/role/list")
    await ada.click("text=New role")
    await ada.fill("#name", "helper")
    await ada.check("input[value='tasks:manage']")
    await ada.fill("#more", "films:watch")
    await ada.click("button.btn-primary")
    await expect(ada.locator("[role=status]")).to_have_text("The role helper was made.")
    await ada.goto(f"/admin/user/details/{sample.people['Barbara']}")
    await ada.click("button[value=grant]")
    await ada.select_option("#chosen", "helper")
    await ada.click("main button[type=submit]")
    await expect(ada.locator("[role=status]")).to_have_text("barbara@example.org was given the role.")
    async with a_window(browser, api) as window:
        await sign_in(window, sample.email("Barbara"))
        assert await window.locator(".nav-link-title").all_inner_texts() == [
            "Operations",
            "Tasks",
            "Schedules",
            "Dead letters",
        ]
        await window.goto("/admin/user/list")
        await expect(window.locator(".empty-header")).to_have_text("403")
        await window.goto("/admin/task/list")
        assert "@example.org" not in await window.locator("table").inner_text()


async def test_a_disabled_user_is_out_of_the_console_at_once(api: Api, ada: Page, sample: Sample) -> None:
    await sample.sql.execute("insert into user_roles values ($1, 'admin')", sample.people["Edsger"])
    async with a_visitor(api, sample.email("Edsger")) as edsger:
        assert (await edsger.get("/admin/")).status_code == 200
        await ada.goto(f"/admin/user/details/{sample.people['Edsger']}")
        await ada.click("button[value=disable]")
        await ada.click("button.btn-danger")
        await expect(ada.locator("[role=status]")).to_have_text("edsger@example.org was disabled.")
        assert (await edsger.get("/admin/")).status_code == 303


async def test_the_last_admin_stays(ada: Page, sample: Sample) -> None:
    await sample.sql.execute(
        "delete from user_roles where role = 'admin' and user_id <> $1", sample.people["Ada"]
    )
    await ada.goto(f"/admin/user/details/{sample.people['Ada']}")
    await ada.click("button[value=disable]")
    await ada.click("button.btn-danger")
    await expect(ada.locator("[role=alert]")).to_contain_text("Nobody active would be left")


async def test_an_ended_session_opens_nothing_wherever_it_was_ended(api: Api, sample: Sample) -> None:
    """By its row, as the API does it, and by the console's own way out."""
    async with AsyncExitStack() as stack:
        one, other = [await stack.enter_async_context(a_visitor(api, sample.email("Ada"))) for _ in range(2)]
        kept = one.cookies["parlor_console"]
        await one.post("/admin/logout", data={"csrf": token_in(await one.get("/admin/"))})
        one.cookies.set("parlor_console", kept, path="/admin")
        assert (await one.get("/admin/")).status_code == 303
        page = await other.get("/admin/session/list", params={"user": sample.email("Ada")})
        newest = await sample.sql.value(
            "select session_id from logins where method = 'console' and outcome = 'success' order by id desc limit 1"
        )
        form = {"csrf": token_in(page), "action": "end", "sure": "yes", "back": "/admin/", "id": str(newest)}
        answer = await other.post("/admin/session/act", data=form)
        assert answer.status_code == 303
        assert (await other.get("/admin/")).status_code == 303


@pytest.mark.parametrize("change", [{"csrf": ""}, {"csrf": "x"}, {}], ids=["empty", "wrong", "none"])
async def test_a_form_without_its_token_changes_nothing(
    api: Api, sample: Sample, change: dict[str, str]
) -> None:
    async with a_visitor(api, sample.email("Ada")) as ada:
        form = {
            "id": str(sample.people["Alan"]),
            "action": "disable",
            "sure": "yes",
            "back": "/admin/",
        } | change
        answer = await ada.post("/admin/user/act", data=form)
        assert (answer.status_code, answer.headers["content-type"]) == (403, "text/html; charset=utf-8")
        assert (await ada.post("/admin/login", data=form)).status_code == 403
    status = await sample.sql.value("select status from users where id = $1", sample.people["Alan"])
    assert status == "active"


async def test_a_token_serves_its_own_session_only(api: Api, sample: Sample) -> None:
    async with AsyncExitStack() as stack:
        one, other = [await stack.enter_async_context(a_visitor(api, sample.email("Ada"))) for _ in range(2)]
        stolen = token_in(await one.get("/admin/"))
        assert (await other.post("/admin/logout", data={"csrf": stolen})).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
    ids=["origin", "null", "cross-site", "same-site"],
)
async def test_what_another_site_sends_is_refused_with_the_right_token(
    api: Api, sample: Sample, headers: dict[str, str]
) -> None:
    async with a_visitor(api, sample.email("Ada")) as ada:
        token = token_in(await ada.get("/admin/"))
        assert (await ada.post("/admin/logout", data={"csrf": token}, headers=headers)).status_code == 403
        assert (await ada.get("/admin/")).status_code == 200


async def test_a_session_that_was_fixed_before_the_login_is_not_the_one_behind_it(
    api: Api, sample: Sample
) -> None:
    async with a_visitor(api, sample.email("Ada")) as attacker:
        planted = attacker.cookies["parlor_console"]
        await attacker.post("/admin/logout", data={"csrf": token_in(await attacker.get("/admin/"))})
        async with httpx.AsyncClient(base_url=api.base, trust_env=False) as victim:
            victim.cookies.set("parlor_console", planted, domain="127.0.0.1", path="/admin")
            form = token_in(await victim.get("/admin/login"))
            given = {"username": sample.email("Ada"), "password": PASSWORD, "csrf": form}
            answer = await victim.post("/admin/login", data=given)
            assert answer.status_code == 303
            assert f"parlor_console={planted}" not in str(answer.headers.get_list("set-cookie"))
        attacker.cookies.set("parlor_console", planted, domain="127.0.0.1", path="/admin")
        assert (await attacker.get("/admin/")).status_code == 303


async def test_every_answer_bears_the_policy_and_every_cookie_its_manners(api: Api, sample: Sample) -> None:
    async with a_visitor(api, sample.email("Ada")) as ada:
        for path in (
            "/admin/",
            "/admin/login",
            "/admin/nothing",
            "/admin/statics/console.css",
            "/admin/user/list?after=x",
        ):
            answer = await ada.get(path)
            policy = answer.headers["content-security-policy"]
            assert "script-src 'self'" in policy
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert "Traceback" not in answer.text
    async with httpx.AsyncClient(base_url=api.base, trust_env=False) as client:
        set_cookie = (await client.get("/admin/login")).headers["set-cookie"]
        assert set_cookie.endswith("; Path=/admin; HttpOnly; SameSite=Strict")
        assert (await client.get("/admin/nothing")).status_code == 303
        assert (await client.get("/nothing")).json()["code"] == "not_found"
        assert (await client.get("/admin")).headers["location"] == "/admin/"
        assert not [path for path in (await client.get("/openapi.json")).json()["paths"] if "admin" in path]


@pytest.mark.parametrize("path", ["user/act", "logout", "login"])
async def test_nothing_is_changed_by_looking(api: Api, sample: Sample, path: str) -> None:
    async with a_visitor(api, sample.email("Ada")) as ada:
        form = {"id": str(sample.people["Alan"]), "action": "disable", "sure": "yes", "back": "/admin/"}
        answer = await ada.get(f"/admin/{path}", params=form | {"csrf": token_in(await ada.get("/admin/"))})
        assert answer.status_code in {303, 405}
        assert (await ada.get("/admin/")).status_code == 200
    status = await sample.sql.value("select status from users where id = $1", sample.people["Alan"])
    assert status == "active"
