"""Logins by account: ten wrong passwords, then one after each wait, and the owner is not locked out."""

from datetime import timedelta
from secrets import token_hex

import pytest

from parlor.core.identity.attempts import NoteRefusedLogin
from parlor.core.identity.history import Outcome
from parlor.core.identity.model import Client, InvalidCredentials, User
from parlor.core.shared.errors import Busy, TooMany
from tests.builders import PASSWORD, a_user
from tests.fakes.identity import FakeAttempts
from tests.unit.identity.conftest import Identity

HOME, STRANGER = Client(ip="192.0.2.7"), Client(ip="203.0.113.66")
FREE = 10


def anywhere() -> Client:
    return Client(ip=f"2001:db8:{token_hex(2)}:{token_hex(2)}::1")


async def fail(identity: Identity, email: str, client: Client | None = None, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(InvalidCredentials):
            await identity.log_in(email=email, password="wrong", client=client or anywhere())


async def refused(identity: Identity, email: str, client: Client | None = None) -> int:
    """Try, even with the right password; answers how long to wait."""
    with pytest.raises(TooMany) as error:
        await identity.log_in(email=email, password=PASSWORD, client=client or anywhere())
    return error.value.retry_after


async def enter(identity: Identity, user: User, client: Client) -> None:
    await identity.log_in(email=user.email, password=PASSWORD, client=client)


async def test_after_ten_wrong_passwords_each_try_must_wait_twice_as_long(identity: Identity) -> None:
    """From wherever they come."""
    user = await identity.add()
    await fail(identity, user.email, times=FREE)
    waits = []
    for _ in range(5):
        waits.append(await refused(identity, user.email))
        identity.clock.advance(seconds=waits[-1])
        await fail(identity, user.email)
    assert waits == [1, 2, 4, 8, 16]


async def test_a_wait_is_a_minute_at_most(identity: Identity) -> None:
    user = await identity.add()
    for _ in range(60):
        await fail(identity, user.email)
        identity.clock.advance(seconds=60)
    await fail(identity, user.email)
    assert identity.hasher.verified


async def test_no_password_is_checked_while_one_must_wait(identity: Identity) -> None:
    """Checking costs the server a quarter of a second, so that is what must not be had for nothing."""
    user = await identity.add()
    await fail(identity, user.email, times=FREE)
    checked = len(identity.hasher.verified)
    await refused(identity, user.email)
    assert len(identity.hasher.verified) == checked


async def test_an_account_that_is_not_there_is_throttled_in_the_same_way(identity: Identity) -> None:
    user = await identity.add()
    for email in (user.email, "nobody@example.org"):
        await fail(identity, email, times=FREE)
        assert await refused(identity, email) == 1
        identity.clock.advance(seconds=1)
        await fail(identity, email)
        assert await refused(identity, email) == 2


async def test_another_form_of_the_address_is_the_same_account(identity: Identity) -> None:
    user = await identity.add(a_user(email="ada@example.org"))
    for email in ("ada@example.org", "ADA@example.org", " ada@example.org ", "\uff41da@example.org"):
        await fail(identity, email, times=3 if email != user.email else 1)
    assert await refused(identity, "Ada@Example.org")


async def test_logins_that_succeed_do_not_count(identity: Identity) -> None:
    user = await identity.add()
    await fail(identity, user.email, times=FREE - 1)
    for _ in range(3 * FREE):
        await enter(identity, user, anywhere())
    await fail(identity, user.email)
    assert await refused(identity, user.email)


async def test_a_try_that_the_server_could_not_check_does_not_count(identity: Identity) -> None:
    user = await identity.add()

    async def busy() -> None:
        raise Busy

    for _ in range(2 * FREE):
        identity.hasher.meanwhile = busy
        with pytest.raises(Busy):
            await enter(identity, user, HOME)
    await enter(identity, user, HOME)


async def test_the_owner_comes_in_where_they_have_been_while_a_stranger_hammers(identity: Identity) -> None:
    user = await identity.add()
    await enter(identity, user, HOME)
    await fail(identity, user.email, STRANGER, times=FREE)
    assert await refused(identity, user.email, STRANGER)
    await enter(identity, user, HOME)


async def test_where_the_owner_has_been_tries_are_counted_too(identity: Identity) -> None:
    user = await identity.add()
    await enter(identity, user, HOME)
    await fail(identity, user.email, HOME, times=FREE)
    assert await refused(identity, user.email, HOME)
    await fail(identity, user.email, STRANGER)


async def test_after_thirty_days_a_place_is_strange_again(identity: Identity) -> None:
    user = await identity.add()
    await enter(identity, user, HOME)
    identity.clock.now += timedelta(days=30) - timedelta(seconds=1)
    await fail(identity, user.email, STRANGER, times=FREE)
    await enter(identity, user, HOME)
    identity.clock.now += timedelta(days=30)
    await fail(identity, user.email, STRANGER, times=FREE)
    assert await refused(identity, user.email, HOME)


async def test_whoever_has_no_address_is_familiar_nowhere(identity: Identity) -> None:
    user = await identity.add()
    await enter(identity, user, Client())
    await fail(identity, user.email, STRANGER, times=FREE)
    assert await refused(identity, user.email, Client())


async def test_the_account_is_told_once_a_minute_that_it_was_throttled(identity: Identity) -> None:
    user = await identity.add()
    await fail(identity, user.email, STRANGER, times=FREE)
    for _ in range(20):
        await refused(identity, user.email, STRANGER)
    told = [line for line in identity.lines(user) if line.outcome is Outcome.THROTTLED]
    assert [(line.client, line.session_id) for line in told] == [(STRANGER, None)]
    assert len(identity.lines(user)) == FREE + 1


async def test_the_account_is_told_of_logins_that_were_refused_at_the_door(identity: Identity) -> None:
    """Once a minute; 30 of one network are looked up in a minute, and no more."""
    store = identity.database.store
    note = NoteRefusedLogin(identity.throttle, FakeAttempts(lambda: store.identity), identity.clock)
    user = await identity.add()
    store = identity.database.store
    for email in (user.email.upper(), user.email, "nobody@example.org", f"deleted:{user.id}"):
        await note(email=email, client=STRANGER)
    assert [(line.outcome, line.client) for line in identity.lines(user)] == [(Outcome.THROTTLED, STRANGER)]
    for _ in range(30 - 4):
        await note(email="nobody@example.org", client=STRANGER)
    with pytest.raises(TooMany):
        await note(email=user.email, client=STRANGER)
    await note(email=user.email, client=HOME)
