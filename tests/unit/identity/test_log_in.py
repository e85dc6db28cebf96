"""LogIn: the right password opens a session, and nothing else tells a stranger anything."""

import pytest

from parlor.core.identity.model import SESSION_LIFE, InvalidCredentials, UserStatus
from parlor.core.shared.errors import Contended, TooMany
from tests.builders import PASSWORD, a_user
from tests.fakes.clock import NOON
from tests.unit.identity.conftest import CLIENT, Identity


async def test_the_right_password_opens_a_session(identity: Identity) -> None:
    user = await identity.add()
    pair = await identity.enter(user)
    (session,) = identity.sessions(user)
    assert session.created_at == session.last_used_at == NOON
    assert session.expires_at == NOON + SESSION_LIFE
    assert (session.client, session.ended_at, session.parent) == (CLIENT, None, None)
    assert session.current == identity.refreshing.fingerprint(pair.refresh_token)
    assert (pair.expires_in, pair.refresh_expires_in) == (900, 30 * 24 * 3600)


async def test_the_access_token_names_user_session_and_epoch(identity: Identity) -> None:
    user = await identity.add(a_user(epoch=7))
    pair = await identity.enter(user)
    claims = identity.access.verify(pair.access_token)
    assert (claims.user_id, claims.epoch) == (user.id, 7)
    assert claims.session_id == identity.sessions(user)[0].id


@pytest.mark.parametrize("email", ["ADA@EXAMPLE.ORG", " ada@example.org "])
async def test_an_address_in_another_form_is_found(identity: Identity, email: str) -> None:
    await identity.add(a_user(email="ada@example.org"))
    await identity.log_in(email=email, password=PASSWORD, client=CLIENT)


async def test_a_password_in_another_form_is_right(identity: Identity) -> None:
    user = await identity.add(a_user(password_hash="v2:caf\u00e9 noir"))
    await identity.log_in(email=user.email, password="cafe\u0301 noir", client=CLIENT)


async def test_a_wrong_password_opens_nothing(identity: Identity) -> None:
    user = await identity.add()
    with pytest.raises(InvalidCredentials):
        await identity.log_in(email=user.email, password="wrong", client=CLIENT)
    assert identity.sessions(user) == []


async def test_an_unknown_address_costs_a_verification_and_says_the_same(identity: Identity) -> None:
    user = await identity.add()
    with pytest.raises(InvalidCredentials) as wrong:
        await identity.log_in(email=user.email, password="wrong", client=CLIENT)
    with pytest.raises(InvalidCredentials) as unknown:
        await identity.log_in(email="nobody@example.org", password=PASSWORD, client=CLIENT)
    assert unknown.value.detail == wrong.value.detail
    assert identity.hasher.verified == [user.password_hash, None]


async def test_what_is_no_address_is_refused_like_an_address_that_is_nobodys(identity: Identity) -> None:
    for written in ("ada", "a b@example.org", "@", "deleted:0"):
        for _ in range(10):
            with pytest.raises(InvalidCredentials):
                await identity.log_in(email=written, password=PASSWORD, client=CLIENT)
        with pytest.raises(TooMany):
            await identity.log_in(email=written, password=PASSWORD, client=CLIENT)
    assert identity.hasher.verified == [None] * 40


async def test_a_disabled_user_is_refused_after_the_same_work(identity: Identity) -> None:
    user = await identity.add(a_user(status=UserStatus.DISABLED))
    with pytest.raises(InvalidCredentials):
        await identity.enter(user)
    assert identity.hasher.verified == [user.password_hash]
    assert identity.sessions(user) == []


async def test_an_outdated_hash_is_renewed_by_a_login(identity: Identity) -> None:
    """The password is the same, so tokens live on."""
    user = await identity.add(a_user(password_hash=f"v1:{PASSWORD}"))
    await identity.enter(user)
    stored = identity.user(user)
    assert (stored.password_hash, stored.epoch, stored.version) == (f"v2:{PASSWORD}", 0, 2)
    await identity.enter(user)
    assert identity.user(user).version == 2


async def test_a_wrong_password_renews_no_hash(identity: Identity) -> None:
    user = await identity.add(a_user(password_hash=f"v1:{PASSWORD}"))
    with pytest.raises(InvalidCredentials):
        await identity.log_in(email=user.email, password="wrong", client=CLIENT)
    assert identity.user(user).password_hash == f"v1:{PASSWORD}"


async def test_a_user_disabled_while_the_password_was_checked_is_refused(identity: Identity) -> None:
    user = await identity.add()

    async def disable() -> None:
        async with identity.changing(user) as stored:
            stored.status = UserStatus.DISABLED

    identity.hasher.meanwhile = disable
    with pytest.raises(InvalidCredentials):
        await identity.enter(user)
    assert identity.sessions(user) == []


async def test_a_password_changed_while_it_was_checked_is_checked_again(identity: Identity) -> None:
    """Contended makes the wrapper run the whole use case again, and then the old password is wrong."""
    user = await identity.add()

    async def change() -> None:
        async with identity.changing(user) as stored:
            stored.rehash("v2:another password")

    identity.hasher.meanwhile = change
    with pytest.raises(Contended):
        await identity.enter(user)
    with pytest.raises(InvalidCredentials):
        await identity.enter(user)
    assert identity.sessions(user) == []


async def test_two_logins_that_renew_one_hash_both_succeed(identity: Identity) -> None:
    """The second one, run again, finds the password right under the new hash."""
    user = await identity.add(a_user(password_hash=f"v1:{PASSWORD}"))

    async def first() -> None:
        await identity.enter(user)

    identity.hasher.meanwhile = first
    with pytest.raises(Contended):
        await identity.enter(user)
    await identity.enter(user)
    assert len(identity.live_sessions(user)) == 2
