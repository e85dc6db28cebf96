"""Users and roles as others see them: which, page by page, in the bytes that go out, and by which index."""

import json
from datetime import timedelta
from uuid import UUID

import pytest

from parlor.adapters.sql.engine import Database
from parlor.adapters.sql.roles import SqlRoleBook, SqlRoleViews
from parlor.adapters.sql.user_views import SqlUserViews, page_of_users
from parlor.core.identity.administration import Sought
from parlor.core.identity.model import User, UserStatus
from parlor.core.identity.roles import OURS, Role
from parlor.core.shared.errors import NotFound
from parlor.core.shared.ids import UserId, uuid7
from parlor.core.shared.paging import Key, PageRequest
from tests.builders import a_user
from tests.fakes.clock import NOON
from tests.sql import Sql

DISABLED, ACTIVE = UserStatus.DISABLED, UserStatus.ACTIVE


@pytest.fixture
def sql(database: Database) -> Sql:
    return Sql(database)


@pytest.fixture
def shown(database: Database) -> SqlUserViews:
    return SqlUserViews(database)


async def added(sql: Sql, **fields: object) -> User:
    user = a_user(**fields)
    async with sql.work() as work:
        await work.users.add(user)
    return user


async def page(
    shown: SqlUserViews, sought: Sought | None = None, *, limit: int = 50, after: Key | None = None
) -> tuple[list[UUID], Key | None]:
    answer = await shown.page(PageRequest(limit, after), sought or Sought())
    return [UUID(item["id"]) for item in json.loads(answer.items)], answer.next_key


async def test_everybody_sees_a_name_and_no_more(sql: Sql, shown: SqlUserViews) -> None:
    user = await added(sql, display_name='Ada "the" Countess')
    assert json.loads(await shown.public(user.id)) == {
        "id": str(user.id),
        "display_name": 'Ada "the" Countess',
    }
    with pytest.raises(NotFound):
        await shown.public(UserId(uuid7()))


async def test_every_field_of_a_user_is_listed(sql: Sql, shown: SqlUserViews) -> None:
    user = await added(
        sql,
        email="Ada@Example.org",
        display_name="Ada",
        email_verified=True,
        status=DISABLED,
        roles=frozenset({"user", "admin"}),
        updated_at=NOON + timedelta(minutes=1),
        version=4,
    )
    answer = await shown.page(PageRequest(), Sought())
    assert json.loads(answer.items) == [
        {
            "id": str(user.id),
            "email": "Ada@Example.org",
            "email_verified": True,
            "display_name": "Ada",
            "roles": ["admin", "user"],
            "status": "disabled",
            "created_at": "2026-03-01T12:00:00.000000Z",
            "updated_at": "2026-03-01T12:01:00.000000Z",
            "version": 4,
        }
    ]


async def test_a_user_without_a_role_is_listed_too(sql: Sql, shown: SqlUserViews) -> None:
    await added(sql, roles=frozenset())
    assert json.loads((await shown.page(PageRequest(), Sought())).items)[0]["roles"] == []


async def test_nobody_is_an_empty_page(shown: SqlUserViews) -> None:
    assert await page(shown) == ([], None)
    assert await page(shown, Sought("ada", "user", ACTIVE)) == ([], None)


async def test_pages_hold_each_user_once_the_newest_first(sql: Sql, shown: SqlUserViews) -> None:
    """Also while new ones register."""
    made = [(await added(sql)).id for _ in range(7)]
    seen: list[UUID] = []
    after: Key | None = None
    while True:
        ids, after = await page(shown, limit=3, after=after)
        seen += ids
        await added(sql)
        if after is None:
            break
    assert seen == made[::-1]
    assert await page(shown, limit=100) == (
        [UUID(str(row["id"])) for row in await sql.rows("select id from users order by id desc")],
        None,
    )


async def test_users_are_found_by_parts_of_address_and_name(sql: Sql, shown: SqlUserViews) -> None:
    """Whatever their case and form; a short text begins one of the two, and no character is a wildcard."""
    users = {
        "ada": await added(sql, email="ada@example.org", display_name="Lovelace, Ada"),
        "countess": await added(sql, email="countess@example.org", display_name="Ädastraße"),
        "percent": await added(sql, email="x@other.net", display_name="100%_a\\b"),
    }
    names = {user.id: name for name, user in users.items()}
    expected = {
        "ada": ("ada", "ADA@", "lovelace", "LOVE", "ad", "l", "ace, ada"),
        "countess": ("countess", "ess", "ÄDA", "äda", "A\u0308da", "straße", "STRASSE", "c"),
        "percent": ("100%", "0%_", "a\\b", "10", "x@"),
        "": ("ss", "%", "_", "\\", "%%%", "___"),
        "countess ada": ("example.org", "@EXAMPLE"),
    }
    for who, texts in expected.items():
        for text in texts:
            ids, _ = await page(shown, Sought(text))
            assert " ".join(names[UserId(one)] for one in ids) == who, text


async def test_users_are_found_by_role_and_status_and_all_at_once(sql: Sql, shown: SqlUserViews) -> None:
    ada = await added(sql, email="ada@example.org", roles=frozenset({"admin", "user"}))
    bob = await added(sql, email="bob@example.org", status=DISABLED)
    eve = await added(sql, email="eve@example.org", status=DISABLED, roles=frozenset({"admin"}))
    expected = {
        Sought(role="admin"): [eve.id, ada.id],
        Sought(role="user"): [bob.id, ada.id],
        Sought(role="films"): [],
        Sought(status=DISABLED): [eve.id, bob.id],
        Sought(status=ACTIVE): [ada.id],
        Sought("example", "admin", DISABLED): [eve.id],
        Sought("bob", "admin"): [],
    }
    assert {sought: (await page(shown, sought))[0] for sought in expected} == expected


async def test_a_changed_name_is_found_and_the_old_one_is_not(sql: Sql, shown: SqlUserViews) -> None:
    user = await added(sql, display_name="Ada")
    async with sql.work() as work:
        found = await work.users.get(user.id)
        found.display_name = "Countess"
        await work.users.save(found)
    assert await page(shown, Sought("countess")) == ([user.id], None)
    assert await page(shown, Sought("ada")) == ([], None)


MANY = 100_000
SEARCH, ROLE, STATUS, KEY = "ix_users_search", "ix_user_roles_role", "ix_users_disabled", "pk_users"
# What is sought, and the index that leads to it.
SEEKING = {
    Sought(): KEY,
    Sought("user 77777"): SEARCH,
    Sought("u7777"): SEARCH,
    Sought("example.org"): KEY,
    Sought("us"): KEY,
    Sought("zz"): SEARCH,
    Sought("nobody at all"): SEARCH,
    Sought(role="admin"): ROLE,
    Sought(role="user"): KEY,
    Sought(role="nothing"): ROLE,
    Sought(status=DISABLED): STATUS,
    Sought(status=ACTIVE): KEY,
    Sought("example.org", "user", ACTIVE): KEY,
    Sought("u7777", "user", DISABLED): STATUS,
}


async def test_no_search_reads_all_users(sql: Sql, shown: SqlUserViews) -> None:
    """However many or few fit, on the first page and on a late one; and what it finds is there."""
    await sql.execute(
        """insert into users (id, email, email_key, display_name, search_key, password_hash, email_verified,
                              status, epoch, created_at, updated_at, version)
           select lpad(to_hex(n), 32, '0')::uuid, e, e, 'User ' || n, E'\\n' || e || E'\\nuser ' || n, '', true,
                  case n % 1000 when 0 then 'disabled' else 'active' end, 0, now(), now(), 1
             from (select n, 'u' || n || '@example.org' as e from generate_series(1, $1::int) n) numbered""",
        MANY,
    )
    await sql.execute(
        """insert into user_roles (user_id, role)
           select id, 'user' from users union all
           select id, 'admin' from users where status = 'disabled'"""
    )
    await sql.execute("analyze users, user_roles")
    late = (str(UUID(int=MANY // 2)),)
    for sought, index in SEEKING.items():
        for after in (None, late):
            statement, arguments = page_of_users(PageRequest(50, after), sought)
            plan = [row["QUERY PLAN"] for row in await sql.rows("explain " + statement, *arguments)]
            told = (sought, after, "\n".join(plan))
            assert not [line for line in plan if "Seq Scan" in line], told
            assert [line for line in plan if f" {index} " in line], told
    assert await page(shown, Sought("user 77777")) == ([UUID(int=77777)], None)
    ids, following = await page(shown, Sought("example.org", "user", ACTIVE), after=late)
    assert (len(ids), ids[0]) == (50, UUID(int=MANY // 2 - 1))
    assert following is not None


# Roles


async def test_a_role_is_shown_with_its_permissions_in_order(database: Database, sql: Sql) -> None:
    async with sql.work() as work:
        await work.roles.add(Role("watcher", 'Sees "all".', frozenset({"films:watch", "films:cut"})))
        await work.roles.add(Role("idle"))
    views = SqlRoleViews(database)
    assert json.loads(await views.one("watcher")) == {
        "name": "watcher",
        "description": 'Sees "all".',
        "permissions": ["films:cut", "films:watch"],
    }
    assert json.loads(await views.one("idle"))["permissions"] == []
    with pytest.raises(NotFound):
        await views.one("nothing")


async def test_roles_are_listed_by_name_page_by_page(database: Database, sql: Sql) -> None:
    async with sql.work() as work:
        for name in ("b", "a", "z", "c"):
            await work.roles.add(Role(name))
    views, seen, after = SqlRoleViews(database), list[str](), None
    while True:
        answer = await views.page(PageRequest(2, after))
        seen += [role["name"] for role in json.loads(answer.items)]
        after = answer.next_key
        if after is None:
            break
    assert seen == ["a", "admin", "b", "c", "user", "z"]


async def test_the_book_says_what_each_role_permits(database: Database, sql: Sql) -> None:
    """An admin has all that Parlor knows."""
    async with sql.work() as work:
        await work.roles.add(Role("idle"))
    book = await SqlRoleBook(database).read()
    assert book == {"admin": OURS, "user": {"tasks:create"}, "idle": set()}
