"""The console's lists: pages by keys that an index serves, read in sessions that cannot write."""

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import configure_mappers
from starlette.requests import Request

from parlor.adapters.sql.errors import PoolExhausted
from parlor.adapters.sql.rows import CONNECTIONS, ReadingRoom
from parlor.container import Container
from parlor.core.identity.ports import PasswordHasher
from parlor.core.shared.errors import DatabaseAway, Unavailable
from parlor.entrypoints.admin import lists, rows
from parlor.entrypoints.admin.app import LISTS, make_console
from parlor.entrypoints.admin.gate import Papers
from parlor.entrypoints.admin.lists import Rows
from tests.builders import PASSWORD, a_letter, a_user
from tests.chat_house import House, a_house

pytestmark = pytest.mark.asyncio(loop_scope="module")

TOKEN = re.compile(r'name="csrf" value="([^"]+)"')
HIDDEN = {
    "password_hash",
    "email_key",
    "search_key",
    "current",
    "parent",
    "fingerprint",
    "secrets",
    "body",
    "headers",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(postgres_url: str, template: str) -> AsyncIterator[House]:
    async with a_house(postgres_url, template, PARLOR_CONSOLE="true", PARLOR_BCRYPT_COST="4") as house:
        yield house


@pytest.fixture(scope="module")
def views(house: House) -> dict[str, Rows]:
    container: Container = house.container
    console = make_console(container, Papers.of(container.settings))
    return {view.identity: view for view in console.views if isinstance(view, Rows)}


@pytest_asyncio.fixture(loop_scope="module")
async def admin(house: House) -> AsyncIterator[httpx.AsyncClient]:
    """Sign in, without the browser."""
    known = await house.sql.value("select count(*) from users where email = 'ada@example.org'")
    if not known:
        password_hash = await house.container.get(PasswordHasher).hash(PASSWORD)
        async with house.sql.work() as work:
            await work.users.add(
                a_user(email="ada@example.org", password_hash=password_hash, roles=frozenset({"admin"}))
            )
    async with httpx.AsyncClient(transport=house.transport, base_url="http://test") as client:
        found = TOKEN.search((await client.get("/admin/login")).text)
        assert found is not None
        form = {"username": "ada@example.org", "password": PASSWORD, "csrf": found[1]}
        assert (await client.post("/admin/login", data=form)).status_code == 303
        yield client


def asked(**query: str) -> Request:
    scope = {"type": "http", "query_string": str(httpx.QueryParams(query)).encode(), "headers": []}
    return Request(scope)


async def plan_of(view: Rows, request: Request) -> str:
    """Explain the statement of a page, where nothing but an index may give the order."""
    statement = view._page(request, None, backwards=False)
    async with view.reading() as session:
        for setting in ("enable_seqscan", "enable_sort", "enable_bitmapscan"):
            await session.execute(text(f"set local {setting} = off"))
        compiled = statement.compile(
            dialect=session.get_bind().dialect, compile_kwargs={"literal_binds": True}
        )
        lines = await session.execute(text(f"explain {compiled}".replace(":", r"\:")))
        return "\n".join(line for (line,) in lines)


@pytest.mark.parametrize("name", [one.identity for one in LISTS])
async def test_a_lists_order_is_an_indexs_own(views: dict[str, Rows], name: str) -> None:
    for order in ("", "reversed"):
        plan = await plan_of(views[name], asked(order=order))
        assert "Index" in plan
        assert "Sort" not in plan
        assert "Seq Scan" not in plan


@pytest.mark.parametrize(
    ("name", "query", "index"),
    [
        ("task", {"status": "failed"}, "ix_tasks_failed"),
        ("user", {"status": "disabled"}, "ix_users_disabled"),
        ("dead-letter", {"reason": "not_json"}, "ix_dead_letters_reason"),
    ],
)
async def test_a_narrowed_lists_order_is_an_indexs_too(
    views: dict[str, Rows], name: str, query: dict[str, str], index: str
) -> None:
    assert index in await plan_of(views[name], asked(**query))


async def test_pages_lead_through_all_rows_and_back(
    house: House, views: dict[str, Rows], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lists, "PAGE", 3)
    async with house.sql.work() as work:
        for _ in range(8):
            await work.users.add(a_user())
    view = views["user"]
    there: list[Any] = []
    turn = await view.turn(asked())
    assert turn.newer is None
    there += turn.rows
    while turn.older is not None:
        turn = await view.turn(asked(after=turn.older))
        there += turn.rows
    ids = [row["id"] for row in await house.sql.rows("select id from users order by id desc")]
    assert [row.id for row in there] == ids
    back = list(turn.rows)
    while turn.newer is not None:
        turn = await view.turn(asked(before=turn.newer))
        back = [*turn.rows, *back]
    assert [row.id for row in back] == ids
    turn = await view.turn(asked(order="reversed"))
    oldest = list(turn.rows)
    while turn.older is not None:
        turn = await view.turn(asked(order="reversed", after=turn.older))
        oldest += turn.rows
    assert [row.id for row in oldest] == ids[::-1]


async def test_keys_of_several_columns_lead_on_too(
    house: House, views: dict[str, Rows], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lists, "PAGE", 2)
    async with house.sql.work() as work:
        for number in range(5):
            await work.letters.add(a_letter(message_id=str(number)))
    await house.sql.execute("update dead_letters set dead_at = '2026-01-01T00:00:00Z'")
    seen: list[Any] = []
    turn = await views["dead-letter"].turn(asked())
    seen += turn.rows
    while turn.older is not None:
        turn = await views["dead-letter"].turn(asked(after=turn.older))
        seen += turn.rows
    assert len({row.id for row in seen}) == len(seen) == 5


async def test_its_sessions_cannot_write(views: dict[str, Rows]) -> None:
    async with views["user"].session_maker() as session:
        with pytest.raises(DBAPIError, match="read-only"):
            await session.execute(text("update users set status = 'disabled'"))


async def test_a_database_that_is_away_is_told_so() -> None:
    room = ReadingRoom("postgresql://nobody@127.0.0.1:1/nothing?sslmode=disable")

    async def look() -> None:
        async with room.session() as session:
            await session.execute(text("select 1"))

    with pytest.raises(DatabaseAway):
        await look()
    await room.close()


async def test_who_finds_no_connection_is_told_so(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parlor.adapters.sql.rows.ACQUIRE_S", 0.01)
    room = ReadingRoom(database_url)

    async def crowd(number: int) -> None:
        async with AsyncExitStack() as stack:
            for _ in range(number):
                session = await stack.enter_async_context(room.session())
                await session.execute(text("select 1"))

    await crowd(CONNECTIONS)
    with pytest.raises(PoolExhausted):
        await crowd(CONNECTIONS + 1)
    await room.close()


async def test_what_takes_too_long_is_told_so(views: dict[str, Rows]) -> None:
    async def dawdle() -> None:
        async with views["user"].reading() as session:
            await session.execute(text("set local statement_timeout = 1"))
            await session.execute(text("select pg_sleep(10)"))

    with pytest.raises(Unavailable, match="took too long"):
        await dawdle()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/admin/user/list?after=x", 422),
        ("/admin/task/list?search=x", 422),
        ("/admin/party/list?search=x", 422),
        ("/admin/user/list?search=%25_%5C", 200),
        ("/admin/task/list?status=x", 200),
        ("/admin/task/list?user=nobody", 200),
        ("/admin/user/list?search=%00", 422),
        ("/admin/user/list?role=%ff", 200),
        ("/admin/role/details/%00", 422),
        ("/admin/dead-letter/list?reason=%27", 200),
        ("/admin/user/details/x", 404),
        ("/admin/user/details/01a1ff96-4411-7000-bcc0-635e528abcc2", 404),
        ("/admin/nothing/list", 404),
        ("/admin/user/create", 404),
        ("/admin/user/export/csv", 404),
        ("/admin/user/ajax/lookup", 404),
        ("/admin/roles/change?name=nobody", 404),
    ],
)
async def test_what_is_asked_for_wrongly_is_told_on_a_page(
    admin: httpx.AsyncClient, path: str, status: int
) -> None:
    answer = await admin.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"action": "disable"}, 303),
        ({"action": "disable", "id": "x"}, 303),
        ({"action": "nothing", "id": "x"}, 404),
        ({"action": "grant", "chosen": "a\0b", "sure": "yes"}, 422),
        ({"action": "disable", "id": [str(number) for number in range(101)]}, 422),
        ({"action": "disable", "back": "//evil.example"}, 303),
    ],
    ids=["no row", "no id", "no action", "no text", "too many", "away"],
)
async def test_what_is_asked_to_be_done_wrongly_is_not_done(
    admin: httpx.AsyncClient, form: dict[str, Any], status: int
) -> None:
    found = TOKEN.search((await admin.get("/admin/user/list")).text)
    assert found is not None
    answer = await admin.post("/admin/user/act", data=form | {"csrf": found[1]})
    assert answer.status_code == status
    assert answer.headers.get("location", "/admin/") == "/admin/"


async def test_who_has_gone_meanwhile_is_told(house: House, admin: httpx.AsyncClient) -> None:
    there, gone = a_user(), a_user()
    async with house.sql.work() as work:
        await work.users.add(there)
    found = TOKEN.search((await admin.get("/admin/user/list")).text)
    assert found is not None
    form = {"csrf": found[1], "action": "disable", "id": [str(there.id), str(gone.id)], "sure": "yes"}
    assert (await admin.post("/admin/user/act", data=form)).status_code == 303
    page = (await admin.get("/admin/")).text
    assert "was disabled." in page
    assert "1 of them is no longer there." in page


async def test_a_role_that_cannot_be_is_told_in_its_form(admin: httpx.AsyncClient) -> None:
    found = TOKEN.search((await admin.get("/admin/roles/new")).text)
    assert found is not None
    form = {"csrf": found[1], "name": "No Name", "more": "films:watch", "permission": "tasks:manage"}
    answer = await admin.post("/admin/roles/new", data=form)
    assert answer.status_code == 422
    assert "This has not the right form." in answer.text
    assert "films:watch" in answer.text
    assert (await admin.post("/admin/roles/new", data=form | {"name": "admin"})).status_code == 409


async def test_what_is_written_is_shown_as_it_is(house: House, admin: httpx.AsyncClient) -> None:
    async with house.sql.work() as work:
        await work.users.add(
            a_user(display_name="<script>alert(1)</script>", email='"><img/src=x>@example.org')
        )
    page = (await admin.get("/admin/user/list")).text
    assert "<script>alert" not in page
    assert "<img/src" not in page


async def test_no_row_class_has_what_nobody_is_to_see() -> None:
    configure_mappers()
    mapped = {attribute.key for mapper in rows.Row.registry.mappers for attribute in mapper.attrs}
    assert not mapped & HIDDEN
