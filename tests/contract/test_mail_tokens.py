"""Ports MailTokens and MailOrders: one test body over memory and PostgreSQL."""

import asyncio
from dataclasses import fields
from datetime import timedelta
from typing import Any

import pytest

from parlor.core.identity.mail_orders import MailOrder, Occasion
from parlor.core.identity.mail_tokens import InvalidMailToken, MailToken, Purpose
from parlor.core.identity.model import User
from tests.builders import a_user
from tests.contract.backends import Backend
from tests.fakes.clock import NOON

RESET, VERIFY = Purpose.PASSWORD_RESET, Purpose.EMAIL_VERIFICATION


async def an_owner(backend: Backend) -> User:
    user = a_user()
    async with backend.work() as work:
        await work.users.add(user)
    return user


async def stored(backend: Backend, user: User, **given: Any) -> MailToken:
    defaults: dict[str, Any] = {
        "purpose": RESET,
        "fingerprint": b"one",
        "email_key": user.email_key,
        "expires_at": NOON,
    }
    token = MailToken(user_id=user.id, **defaults | given)
    async with backend.work() as work:
        await work.mail_tokens.replace(token)
    return token


async def taken(backend: Backend, fingerprint: bytes = b"one", purpose: Purpose = RESET) -> MailToken | None:
    try:
        async with backend.work() as work:
            return await work.mail_tokens.take(fingerprint, purpose)
    except InvalidMailToken:
        return None


async def test_every_field_comes_back_when_it_is_looked_at_and_taken(backend: Backend) -> None:
    token = await stored(backend, await an_owner(backend), expires_at=NOON + timedelta(microseconds=1))
    async with backend.work() as work:
        found = await work.mail_tokens.find(token.fingerprint, token.purpose)
    again = await taken(backend)
    for field in fields(MailToken):
        assert getattr(found, field.name) == getattr(again, field.name) == getattr(token, field.name)
    assert await taken(backend) is None


async def test_it_serves_one_purpose(backend: Backend) -> None:
    await stored(backend, await an_owner(backend), purpose=RESET)
    assert await taken(backend, purpose=VERIFY) is None
    assert await taken(backend, purpose=RESET) is not None


async def test_a_newer_one_takes_the_place_of_the_older_of_the_same_purpose(backend: Backend) -> None:
    ada, bob = await an_owner(backend), await an_owner(backend)
    await stored(backend, ada, fingerprint=b"older")
    await stored(backend, ada, fingerprint=b"other purpose", purpose=VERIFY)
    await stored(backend, bob, fingerprint=b"bob's")
    await stored(backend, ada, fingerprint=b"newer")
    assert await taken(backend, b"older") is None
    assert await taken(backend, b"newer") is not None
    assert await taken(backend, b"other purpose", VERIFY) is not None
    assert await taken(backend, b"bob's") is not None


@pytest.mark.parametrize(("purpose", "left"), [(RESET, [VERIFY]), (None, [])], ids=["one purpose", "all"])
async def test_they_are_revoked(backend: Backend, purpose: Purpose | None, left: list[Purpose]) -> None:
    ada, bob = await an_owner(backend), await an_owner(backend)
    await stored(backend, ada, purpose=RESET)
    await stored(backend, ada, purpose=VERIFY, fingerprint=b"two")
    await stored(backend, bob, fingerprint=b"bob's")
    async with backend.work() as work:
        await work.mail_tokens.revoke(ada.id, purpose=purpose)
    found = [one for one, mark in ((RESET, b"one"), (VERIFY, b"two")) if await taken(backend, mark, one)]
    assert found == left
    assert await taken(backend, b"bob's") is not None


async def test_of_twenty_who_take_one_at_once_one_gets_it(backend: Backend) -> None:
    await stored(backend, await an_owner(backend))
    got = await asyncio.gather(*(taken(backend) for _ in range(20)))
    assert sum(token is not None for token in got) == 1


async def test_a_mail_is_ordered_with_the_transaction_or_not_at_all(backend: Backend) -> None:
    """It is a task of Parlor's own, whose address is a secret field."""
    order = MailOrder(Occasion.PASSWORD_RESET, "ada@example.org")
    with pytest.raises(ZeroDivisionError):
        await order_and_fail(backend, order)
    assert await backend.orders() == []
    async with backend.work() as work:
        await work.mail_orders.add(order)
    assert await backend.orders() == [
        ("send_mail", {"occasion": "password_reset"}, {"email": "ada@example.org"}, "system")
    ]


async def order_and_fail(backend: Backend, order: MailOrder) -> None:
    async with backend.work() as work:
        await work.mail_orders.add(order)
        _ = 1 / 0
