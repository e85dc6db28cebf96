"""Ports History and Attempts: one test body over memory and PostgreSQL."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from parlor.core.identity.history import Method, Outcome
from parlor.core.identity.model import Client, User
from parlor.core.shared.ids import SessionId, uuid7
from tests.builders import a_line, a_user
from tests.contract.backends import Backend
from tests.fakes.clock import NOON

HERE = Client(ip="192.0.2.7", user_agent="a browser")
MINUTE = timedelta(minutes=1)


async def added(backend: Backend) -> User:
    user = a_user()
    async with backend.work() as work:
        await work.users.add(user)
    return user


@pytest.mark.parametrize("client", [HERE, Client()], ids=["known", "unknown"])
async def test_every_field_of_a_line_comes_back(backend: Backend, client: Client) -> None:
    line = a_line(
        await added(backend),
        at=NOON + MINUTE,
        outcome=Outcome.REFRESH_REUSE,
        method=Method.REFRESH,
        client=client,
        session_id=SessionId(uuid7()),
    )
    async with backend.work() as work:
        await work.history.add(line)
    assert await backend.logins() == [line]


async def test_a_line_stands_with_what_it_tells_of_or_not_at_all(backend: Backend) -> None:
    user = await added(backend)
    with pytest.raises(ZeroDivisionError):
        await add_and_fail(backend, user)
    assert await backend.logins() == []


async def add_and_fail(backend: Backend, user: User) -> None:
    async with backend.work() as work:
        await work.history.add(a_line(user))
        raise ZeroDivisionError


async def test_a_failure_is_told_to_whom_the_account_belongs(backend: Backend) -> None:
    user, _ = await added(backend), await added(backend)
    await backend.attempts.failed(user.email_key, Outcome.WRONG_PASSWORD, HERE, NOON)
    expected = a_line(user, outcome=Outcome.WRONG_PASSWORD, client=HERE)
    assert await backend.logins() == [expected]


async def test_a_failure_at_nobodys_account_is_told_to_nobody(backend: Backend) -> None:
    await added(backend)
    await backend.attempts.failed("nobody@example.org", Outcome.WRONG_PASSWORD, HERE, NOON)
    assert await backend.logins() == []


async def test_that_an_account_is_throttled_is_told_once_a_minute(backend: Backend) -> None:
    """However many say so at once; and only that."""
    user, other = await added(backend), await added(backend)
    for outcome in (Outcome.THROTTLED, Outcome.WRONG_PASSWORD):
        for at in (NOON, NOON + MINUTE / 2, NOON + MINUTE):
            tries = (backend.attempts.failed(user.email_key, outcome, HERE, at) for _ in range(5))
            await asyncio.gather(*tries)
    await backend.attempts.failed(other.email_key, Outcome.THROTTLED, HERE, NOON)
    told = [(line.user_id, line.at) for line in await backend.logins() if line.outcome is Outcome.THROTTLED]
    assert sorted(told) == sorted([(user.id, NOON), (user.id, NOON + MINUTE), (other.id, NOON)])
    assert len(await backend.logins()) == 15 + 3


@pytest.mark.parametrize(
    ("ip", "known"),
    [
        ("192.0.2.7", True),
        ("192.0.2.8", False),
        ("2001:db8:0:1::1", True),
        ("2001:db8:0:1:ffff::", True),
        ("2001:db8:0:2::1", False),
    ],
)
async def test_a_network_is_familiar_after_a_login_from_it(backend: Backend, ip: str, known: bool) -> None:
    user, stranger = await added(backend), await added(backend)
    async with backend.work() as work:
        for earlier in ("192.0.2.7", "2001:db8:0:1::9"):
            await work.history.add(a_line(user, client=Client(ip=earlier)))
        await work.history.add(a_line(stranger, client=Client(ip="192.0.2.8")))
    before = NOON - timedelta(seconds=1)
    assert await backend.attempts.familiar(user.email_key, Client(ip=ip), before) is known
    assert not await backend.attempts.familiar(user.email_key, Client(ip=ip), NOON)
    assert not await backend.attempts.familiar("nobody@example.org", Client(ip=ip), before)


async def test_from_where_somebody_came_is_forgotten_in_batches(backend: Backend) -> None:
    user, other = await added(backend), await added(backend)
    mine = [a_line(user, at=NOON + MINUTE * number, client=HERE) for number in range(3)]
    theirs = a_line(other, client=HERE)
    async with backend.work() as work:
        for line in (*mine, theirs):
            await work.history.add(line)
    for expected in (2, 1, 0):
        async with backend.work() as work:
            assert await work.history.forget_clients(user.id, limit=2) == expected
    left = {line.at: line for line in await backend.logins() if line.user_id == user.id}
    assert list(left.values()) == [replace(line, client=Client()) for line in mine]
    assert [line for line in await backend.logins() if line.user_id == other.id] == [theirs]
    assert not await backend.attempts.familiar(user.email_key, HERE, NOON - MINUTE)


@pytest.mark.parametrize("outcome", [one for one in Outcome if one is not Outcome.SUCCESS])
async def test_nothing_but_a_login_makes_familiar(backend: Backend, outcome: Outcome) -> None:
    user = await added(backend)
    async with backend.work() as work:
        await work.history.add(replace(a_line(user), outcome=outcome))
    client = a_line(user).client
    assert not await backend.attempts.familiar(user.email_key, client, NOON - MINUTE)
