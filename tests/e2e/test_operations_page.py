"""The operations page in a real browser: what happened is on it, and its buttons do what they say."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from http.cookies import SimpleCookie
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, ConsoleMessage, Error, Locator, Page, Route, expect

from parlor.adapters.sql.engine import Database
from parlor.core.identity.console import EnterConsole
from parlor.core.identity.model import Client
from parlor.core.identity.ports import PasswordHasher
from parlor.core.identity.roles import Role
from parlor.core.shared.ids import DeadLetterId, TaskId
from parlor.core.tasks.model import Failed, Succeeded, TaskError
from parlor.entrypoints.admin import cookies, kept, operations, sweeping
from parlor.entrypoints.admin.gate import Papers
from parlor.entrypoints.admin.visits import CSRF
from tests.browser import a_browser
from tests.builders import PASSWORD, a_letter, a_task, a_user
from tests.conftest import named
from tests.databases import drop, execute
from tests.serving import Api, an_api
from tests.sql import Sql
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.asyncio(loop_scope="module")

NUMBERS, TASKS = "/admin/operations/numbers", "/admin/operations/tasks"
GONE = TaskError("film_gone", "<b>It is gone.</b>", retryable=False)
EVERY_MS = 5_000
SIGNED_OUT = "status of 401"  # which a browser notes as an error


@dataclass(frozen=True, slots=True)
class Desk:
    """One application, and the browser of an operator who is signed in to its console."""

    api: Api
    sql: Sql
    context: BrowserContext
    cookie: str

    async def sign_in(self) -> None:
        """Give the browser the session."""
        cookie = {"name": cookies.SESSION, "value": self.cookie, "domain": "127.0.0.1", "path": cookies.PATH}
        await self.context.add_cookies([cookie])  # type: ignore[list-item]  # its TypedDict, by names

    def asking(self, cookie: str) -> httpx.AsyncClient:
        """Ask as a script of the page would."""
        told = {"sec-fetch-mode": "cors", "sec-fetch-site": "same-origin"}
        known = {cookies.SESSION: cookie}
        return httpx.AsyncClient(base_url=self.api.base, headers=told, cookies=known, trust_env=False)

    async def failed(self, kind: str, count: int = 1) -> list[TaskId]:
        """Have tasks of a kind fail; answers them with the newest first, as the page lists them."""
        ids = await self.sql.enqueue(*(a_task(kind=kind) for _ in range(count)))
        for attempt in await self.sql.runs.claim(ids, []):
            assert await self.sql.runs.finish([Failed(attempt.task_id, attempt.fence, GONE)])
        await self.sql.clear_outbox()
        return [row["id"] for row in await self._listed(kind)]

    async def run(self, kind: str, count: int) -> None:
        """Have what waits of a kind run and succeed."""
        waiting = await self.sql.rows(
            "select id from tasks where kind = $1 and status = 'queued' limit $2", kind, count
        )
        claimed = await self.sql.runs.claim([row["id"] for row in waiting], [])
        await self.sql.runs.finish([Succeeded(one.task_id, one.fence, "{}") for one in claimed])
        await self.sql.clear_outbox()

    async def status(self, task_id: TaskId) -> str:
        return str((await self.sql.task(task_id))["status"])

    async def letter(self, **fields: object) -> DeadLetterId:
        letter = a_letter(**fields)
        async with self.sql.work() as work:
            await work.letters.add(letter)
        return letter.id

    async def _listed(self, kind: str) -> list[dict[str, TaskId]]:
        return await self.sql.rows(
            "select id from tasks where kind = $1 order by finished_at desc, id desc", kind
        )


async def signed_in(api: Api, sql: Sql, *roles: str) -> str:
    """Open a session of the console for somebody new; answers its cookie."""
    known = await api.container.get(PasswordHasher).hash(PASSWORD)
    user = a_user(password_hash=known, roles=frozenset({"user", *roles}))
    async with sql.work() as work:
        await work.users.add(user)
    visit = await api.container.build(EnterConsole)(email=user.email, password=PASSWORD, client=Client())
    return SimpleCookie(Papers.of(api.container.settings).let_in(visit))[cookies.SESSION].value


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(postgres_url: str, template: str) -> AsyncIterator[Desk]:
    """Serve for all tests of this file; no number is kept between two looks."""
    name = f"parlor_test_{uuid4().hex}"
    await execute(postgres_url, f"create database {name} template {template} strategy file_copy")
    async with AsyncExitStack() as opened:
        opened.enter_context(pytest.MonkeyPatch.context()).setattr(kept, "KEPT_FOR_S", 0.0)
        api = await opened.enter_async_context(an_api(named(postgres_url, name), PARLOR_CONSOLE="true"))
        sql = Sql(api.container.get(Database))
        browser = await opened.enter_async_context(a_browser())
        context = await browser.new_context(viewport={"width": 1280, "height": 900})
        context.set_default_timeout(PATIENCE_S * 1000)
        desk = Desk(api, sql, context, await signed_in(api, sql, "admin"))
        await desk.sign_in()
        yield desk
    await drop(postgres_url, name)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tab(desk: Desk) -> AsyncIterator[Page]:
    """Open one tab for all tests: a new one takes longer than its page. Its clock is in our hands."""
    opened = await desk.context.new_page()
    await opened.clock.install()
    yield opened
    await opened.close()


@pytest_asyncio.fixture(loop_scope="module")
async def page(desk: Desk, tab: Page) -> AsyncIterator[Page]:
    """Open the page anew; what its policy forbids, or its script does wrong, fails the test."""
    wrong = list[str]()

    def note(said: ConsoleMessage) -> None:
        if said.type == "error" and SIGNED_OUT not in said.text:
            wrong.append(said.text)

    def fail(error: Error) -> None:
        wrong.append(str(error))

    tab.on("console", note)
    tab.on("pageerror", fail)
    await tab.set_viewport_size({"width": 1280, "height": 900})
    await tab.goto(f"{desk.api.base}/admin/operations")
    await expect(tab.locator("#ops-ended svg")).to_be_visible()
    yield tab
    tab.remove_listener("console", note)
    tab.remove_listener("pageerror", fail)
    assert wrong == []


async def look_again(page: Page) -> None:
    """Let five seconds pass, and wait for the numbers that are asked for then."""
    async with page.expect_response(re.compile(NUMBERS)):
        await page.clock.run_for(EVERY_MS)


async def only(page: Page, kind: str) -> None:
    """Show this kind's failures alone."""
    async with page.expect_response(re.compile(f"failed_kind={kind}")):
        await page.fill("#ops-failed-kind", kind)
        await page.press("#ops-failed-kind", "Enter")


def tile(page: Page, label: str) -> Locator:
    return page.locator(".ops-tile", has_text=label).locator(".ops-value")


async def yes(page: Page, question: str) -> None:
    """Read the question, and confirm."""
    await expect(page.locator("#ops-question")).to_contain_text(question)
    await page.click("#ops-yes")


# What is seen


async def test_what_ends_appears_within_five_seconds(desk: Desk, page: Page) -> None:
    """In the bars, in their table, in the sums, and with its kind: of one reading of the same rows."""
    await desk.sql.enqueue(*(a_task(kind="film") for _ in range(3)))
    await look_again(page)
    await expect(tile(page, "To be published")).to_have_text("3")
    await expect(tile(page, "Queued")).to_have_text("3")
    await desk.run("film", 3)
    await desk.failed("film")
    await look_again(page)
    await expect(page.locator("#ops-total-succeeded")).to_have_text("3")
    await expect(page.locator("#ops-total-failed")).to_have_text("1")
    await expect(page.locator("#ops-ended rect.ops-succeeded")).not_to_have_count(0)
    await expect(page.locator("#ops-ended rect.ops-failed")).not_to_have_count(0)
    await expect(page.locator("#ops-ended-rows tr")).to_have_count(60)
    in_table = await page.locator("#ops-ended-rows tr td:nth-child(2)").all_text_contents()
    assert sum(map(int, in_table)) == 3
    row = page.locator("#ops-kinds tr", has_text="film")
    await expect(row).to_contain_text("25.0 %")
    await expect(page.locator("#ops-parts")).to_contain_text("database up")


async def test_a_failure_is_shown_in_its_own_words_and_never_as_markup(desk: Desk, page: Page) -> None:
    await desk.failed("<i>markup</i>")
    await look_again(page)
    row = page.locator("#ops-failed tr", has_text="<i>markup</i>")
    await expect(row).to_contain_text("film_gone <b>It is gone.</b>")
    assert await page.locator("#ops-failed i:not(.fa-solid)").count() == 0


async def test_a_page_that_nobody_looks_at_asks_for_nothing(desk: Desk, page: Page) -> None:
    """Also when it was hidden before the last answer came; and it asks at once when it is looked at again."""
    hide = "Object.defineProperty(document, 'hidden', {{ value: {}, configurable: true }});"
    turn = "document.dispatchEvent(new Event('visibilitychange'))"
    is_hidden, asked = asyncio.Event(), list[str]()

    async def answer_once_hidden(route: Route) -> None:
        await is_hidden.wait()
        await route.continue_()

    await page.route(re.compile(NUMBERS), answer_once_hidden)
    async with page.expect_response(re.compile(NUMBERS)) as answered:
        await page.clock.run_for(EVERY_MS)
        await page.evaluate(hide.format("true") + turn)
        is_hidden.set()
    await (await answered.value).finished()
    page.on("request", lambda request: asked.append(request.url) if NUMBERS in request.url else None)
    await page.clock.run_for(20 * EVERY_MS)
    assert asked == []
    async with page.expect_response(re.compile(NUMBERS)):
        await page.evaluate(hide.format("false") + turn)
    assert len(asked) == 1
    await page.unroute(re.compile(NUMBERS))


async def test_the_page_fits_a_telephone(page: Page) -> None:
    await page.set_viewport_size({"width": 390, "height": 844})
    await expect(page.locator("#ops-ended svg")).to_have_attribute("width", re.compile(r"3\d\d"))
    wide = await page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 390


# What is done


async def test_a_failed_task_is_retried_by_its_button(desk: Desk, page: Page) -> None:
    """After the question, once; then it waits, and its line is gone."""
    newest, older = await desk.failed("retried", 2)
    await only(page, "retried")
    await page.click(f"[data-key='retry-{newest}']")
    await yes(page, str(newest))
    await expect(page.locator("#ops-said")).to_have_text("Retried 1 task.")
    await expect(page.locator("#ops-failed tr")).to_have_count(1)
    assert (await desk.status(newest), await desk.status(older)) == ("queued", "failed")
    await desk.run("retried", 1)
    assert await desk.status(newest) == "succeeded"


async def test_what_is_left_alone_stays_as_it_is(desk: Desk, page: Page) -> None:
    (task_id,) = await desk.failed("left")
    await only(page, "left")
    await page.click(f"[data-key='retry-{task_id}']")
    await page.get_by_role("button", name="Leave it").click()
    await page.click(f"[data-key='retry-{task_id}']")
    await page.keyboard.press("Escape")
    await look_again(page)
    await expect(page.locator("#ops-said")).to_be_empty()
    assert await desk.status(task_id) == "failed"


async def test_all_that_a_filter_finds_are_retried_a_thousand_at_most(
    desk: Desk, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here: two. What is of another kind is not touched, and who did it is told that there are more."""
    for module in (operations, sweeping):
        monkeypatch.setattr(module, "MOST_AT_ONCE", 2)
    (other,) = await desk.failed("bulky-other")
    *_, oldest = await desk.failed("bulky", 3)
    await only(page, "bulky")
    await page.click("[data-key='all-retry']")
    await yes(page, "every failed task of the kind “bulky”")
    await expect(page.locator("#ops-said")).to_contain_text("Retried 2 tasks. More match")
    await expect(page.locator("#ops-failed tr")).to_have_count(1)
    assert (await desk.status(oldest), await desk.status(other)) == ("failed", "failed")


async def test_a_refusal_is_told_in_words(desk: Desk, page: Page) -> None:
    """Somebody else was quicker."""
    (task_id,) = await desk.failed("raced")
    await only(page, "raced")
    await page.click(f"[data-key='retry-{task_id}']")
    await desk.sql.execute("update tasks set had_secrets = true where id = $1", task_id)
    await yes(page, str(task_id))
    await expect(page.locator("#ops-said .alert-danger")).to_contain_text("Refused: The secret fields")
    assert await desk.status(task_id) == "failed"


async def test_what_waits_is_cancelled_by_its_button(desk: Desk, page: Page) -> None:
    (task_id,) = await desk.sql.enqueue(a_task(kind="unwanted"))
    await page.fill("#ops-kind", "unwanted")
    await page.select_option("#ops-status", "queued")
    await page.click(f"[data-key='cancel-{task_id}']")
    await yes(page, str(task_id))
    await expect(page.locator("#ops-said")).to_have_text("Cancelled 1 task.")
    await expect(page.locator("#ops-live-none")).to_have_text("No queued tasks of the kind “unwanted”.")
    assert await desk.status(task_id) == "cancelled"


async def test_dead_letters_are_replayed_and_discarded(desk: Desk, page: Page) -> None:
    replayed, discarded = await desk.letter(), await desk.letter(reason="unknown_kind")
    await look_again(page)
    await expect(tile(page, "Dead letters")).to_have_text("2")
    await page.click(f"[data-key='replay-{replayed}']")
    await yes(page, str(replayed))
    await expect(page.locator("#ops-said")).to_have_text("Replayed 1 dead letter.")
    await expect(tile(page, "Dead letters")).to_have_text("1")
    await page.select_option("#ops-reason", "unknown_kind")
    await page.click("[data-key='all-discard']")
    await yes(page, "gone for good")
    await expect(page.locator("#ops-said")).to_have_text("Discarded 1 dead letter.")
    rows = await desk.sql.rows("select id, replayed_at is not null as replayed from dead_letters")
    assert rows == [{"id": replayed, "replayed": True}]
    assert await desk.sql.value("select count(*) from replay_outbox where letter_id = $1", replayed) == 1
    assert discarded not in {row["id"] for row in rows}


# Who may, and what is refused


async def test_a_session_that_ended_is_told_and_asked_for_again(desk: Desk, page: Page) -> None:
    await page.context.clear_cookies()
    try:
        async with page.expect_response(lambda answer: answer.status == 401):
            await page.clock.run_for(EVERY_MS)
        await expect(page.locator("#ops-fresh")).to_have_text("You are signed out. Sign in")
    finally:
        await desk.sign_in()


async def test_operations_are_for_those_who_manage_tasks(desk: Desk) -> None:
    """For no other manager, and for nobody without a session; the page neither."""
    async with desk.sql.work() as work:
        await work.roles.add(Role("moderator", permissions=frozenset({"chats:moderate"})))
    other = await signed_in(desk.api, desk.sql, "moderator")
    for cookie, status in ((other, 403), ("", 401)):
        async with desk.asking(cookie) as client:
            for path in (NUMBERS, "/admin/operations"):
                assert (await client.get(path)).status_code == status
            assert (await client.post(TASKS, data={"action": "retry", "all": "1"})).status_code == status


async def test_nothing_is_done_without_the_forms_token_or_without_a_name(desk: Desk) -> None:
    (task_id,) = await desk.failed("guarded")
    async with desk.asking(desk.cookie) as client:
        shown = (await client.get("/admin/operations")).text
        found = re.search(rf'name="{CSRF}" value="([^"]+)"', shown)
        assert found is not None
        wrong = [{"action": "retry", "id": str(task_id)}]
        assert (await client.post(TASKS, data=wrong[0])).status_code == 403
        for fields in (
            {"action": "retry"},
            {"action": "replay", "id": str(task_id)},
            {"action": "retry", "id": "7"},
        ):
            assert (await client.post(TASKS, data={CSRF: found[1], **fields})).status_code == 422
        body = {CSRF: found[1], "action": "retry", "all": "1", "status": "succeeded"}
        assert (await client.post(TASKS, data=body)).status_code == 422
        assert await desk.status(task_id) == "failed"
        answer = await client.post(TASKS, data={CSRF: found[1], "action": "retry", "id": str(task_id)})
        assert json.loads(answer.content) == {"said": "Retried 1 task.", "done": 1, "refused": 0}
