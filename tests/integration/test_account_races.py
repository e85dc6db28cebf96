"""What happens to one account at once, on PostgreSQL."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, replace

import pytest

from parlor.adapters.memory.throttle import MemoryThrottle
from parlor.adapters.observed import observed
from parlor.adapters.sql.engine import Database
from parlor.adapters.sql.identity import SqlDirectory
from parlor.core.identity.accounts import RegisterUnseen
from parlor.core.identity.deletion import DeleteAccount
from parlor.core.identity.mail_tokens import LIFE, InvalidMailToken, MailToken, Purpose, fingerprint_of
from parlor.core.identity.model import Client, EmailTaken, User
from parlor.core.identity.passwords import ChangePassword, CheckPassword, ConfirmReset, WrongPassword
from parlor.core.identity.roles import LastAdmin
from parlor.core.identity.use_cases import PasswordPolicy, Principal, Register
from parlor.core.shared.clock import system_clock
from parlor.core.shared.errors import Busy
from tests.builders import PASSWORD, a_session, a_user
from tests.fakes.container import a_principal
from tests.fakes.identity import FakeHasher
from tests.sql import Sql

CLIENT = Client()
POLICY = PasswordPolicy(frozenset[str]())


@dataclass(frozen=True, slots=True)
class Stage:
    """One account on a real database, and what is done to it, each as the container would have it done."""

    sql: Sql
    user: User
    principal: Principal

    async def reset(self, password: str) -> str:
        confirm = ConfirmReset(self.sql.work, FakeHasher(), POLICY, system_clock)
        return await told(
            observed("reset", confirm)(token=f"{self.user.id}", new_password=password, client=CLIENT)
        )

    async def change(self, password: str) -> str:
        change = ChangePassword(self.sql.work, self.check, FakeHasher(), POLICY, system_clock)
        changing = observed("change", change)(
            self.principal, current_password=PASSWORD, new_password=password, client=CLIENT
        )
        return await told(changing)

    async def delete(self) -> str:
        delete = DeleteAccount(self.sql.work, self.check, system_clock)
        return await told(observed("delete", delete)(self.principal, password=PASSWORD, client=CLIENT))

    @property
    def check(self) -> CheckPassword:
        return CheckPassword(self.sql.work, FakeHasher(), MemoryThrottle(scale=100), system_clock)

    async def password(self) -> str:
        return str(await self.sql.value("select password_hash from users where id = $1", self.user.id))


async def told(call: Awaitable[object]) -> str:
    try:
        await call
    except (InvalidMailToken, WrongPassword, EmailTaken, LastAdmin, Busy) as error:
        return error.code
    return "ok"


@pytest.fixture
def sql(database: Database) -> Sql:
    return Sql(database)


@pytest.fixture
async def stage(sql: Sql) -> Stage:
    return await staged(sql, a_user())


async def staged(sql: Sql, user: User) -> Stage:
    session = a_session(user)
    async with sql.work() as work:
        await work.users.add(user)
        await work.sessions.add(user, session)
        ends = system_clock() + LIFE
        token = MailToken(user.id, Purpose.PASSWORD_RESET, fingerprint_of(f"{user.id}"), user.email_key, ends)
        await work.mail_tokens.replace(token)
    principal = a_principal()
    known = replace(principal.user, id=user.id)
    return Stage(sql, user, replace(principal, user=known, session_id=session.id))


async def test_of_ten_who_confirm_one_token_one_wins(stage: Stage) -> None:
    answers = await asyncio.gather(*(stage.reset(f"password {number}") for number in range(10)))
    assert sorted(answers) == ["invalid_mail_token"] * 9 + ["ok"]
    assert await stage.password() == f"v2:password {answers.index('ok')}"
    assert await stage.sql.value("select epoch from users") == 1


async def test_of_a_reset_and_a_change_the_first_wins_and_the_other_is_refused(stage: Stage) -> None:
    """The change kills the token, or the reset replaces the password that the change must know."""
    reset, change = await asyncio.gather(stage.reset("by mail"), stage.change("in session"))
    assert {reset, change} in ({"ok", "wrong_password"}, {"invalid_mail_token", "ok"})
    assert await stage.password() == ("v2:by mail" if reset == "ok" else "v2:in session")
    live = await stage.sql.value("select count(*) from sessions where ended_at is null")
    assert live == (0 if reset == "ok" else 1)


async def test_a_reset_cannot_bring_back_an_account_that_is_deleted(stage: Stage) -> None:
    reset, delete = await asyncio.gather(stage.reset("by mail"), stage.delete())
    assert {reset, delete} in ({"ok", "wrong_password"}, {"invalid_mail_token", "ok"})
    assert (await stage.password() == "") == (delete == "ok")


async def test_an_account_that_is_deleted_ten_times_at_once_is_deleted_once(stage: Stage) -> None:
    answers = await asyncio.gather(*(stage.delete() for _ in range(10)))
    assert sorted(answers) == ["ok"] + ["wrong_password"] * 9
    assert [fact["name"] for fact in await stage.sql.facts()] == ["identity.user_deleted"]


async def test_of_two_admins_who_leave_at_once_one_stays(sql: Sql) -> None:
    admins = [await staged(sql, a_user(roles=frozenset({"admin", "user"}))) for _ in range(2)]
    answers = await asyncio.gather(*(admin.delete() for admin in admins))
    assert sorted(answers) == ["last_admin", "ok"]
    assert await sql.value("select count(*) from users where status = 'active'") == 1


async def test_an_address_that_is_registered_twenty_times_at_once_is_one_account(sql: Sql) -> None:
    register = Register(sql.work, SqlDirectory(sql.database), FakeHasher(), POLICY, system_clock)
    answers = await asyncio.gather(
        *(told(register(email="ada@example.org", password=PASSWORD, display_name=None)) for _ in range(20))
    )
    assert sorted(answers) == ["email_taken"] * 19 + ["ok"]


async def test_unseen_too_and_each_of_the_twenty_orders_its_mail(sql: Sql) -> None:
    register = RegisterUnseen(sql.work, FakeHasher(), POLICY, MemoryThrottle(scale=100), system_clock)
    await asyncio.gather(
        *(register(email="ada@example.org", password=PASSWORD, display_name=None) for _ in range(20))
    )
    assert await sql.value("select count(*) from users") == 1
    ordered = await sql.rows(
        "select payload ->> 'occasion' as occasion, count(*) from tasks group by 1 order by 1"
    )
    assert [tuple(row.values()) for row in ordered] == [("account_exists", 19), ("email_verification", 1)]


async def test_caches_hear_of_the_address_that_became_free(stage: Stage) -> None:
    """Else who registers with it at once would be told that it is taken."""
    stage.sql.changes.heard.clear()
    await stage.delete()
    touched = [key for _, users in stage.sql.changes.heard for _, key in users]
    assert touched == [stage.user.email_key, f"deleted:{stage.user.id}"] * 2
