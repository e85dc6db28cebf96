"""What other services learn of a token, and how they end one."""

from datetime import timedelta
from typing import Any

import pytest

from parlor.core.identity.api_keys import ApiKey
from parlor.core.identity.introspection import Active, IntrospectToken, RevokeToken, TokenType
from parlor.core.identity.model import User, UserStatus
from parlor.core.identity.roles import OURS
from parlor.core.identity.use_cases import GraceWindow, TokenPair
from parlor.core.shared.actor import Actor, PermissionMissing
from tests.builders import a_user, an_actor, an_api_key
from tests.fakes.api_keys import FakeKeyRing
from tests.unit.identity.conftest import CLIENT, GRACE, Identity

SHOWN = "parlor_films_" + "s" * 43


@pytest.fixture
def service() -> Actor:
    return an_actor("tokens:introspect")


@pytest.fixture
def introspect(identity: Identity) -> IntrospectToken:
    return IntrospectToken(
        identity.database.work,
        identity.access,
        identity.refreshing,
        identity.directory,
        FakeKeyRing(lambda: identity.database.store.api_keys),
        identity.clock,
        GraceWindow(GRACE),
    )


@pytest.fixture
def revoke(identity: Identity) -> RevokeToken:
    work: Any = identity.database.work
    return RevokeToken(work, identity.access, identity.refreshing, identity.directory, identity.clock)


async def entered(identity: Identity, *roles: str) -> tuple[User, TokenPair]:
    user = await identity.add(a_user(roles=frozenset(roles or {"user"})))
    return user, await identity.enter(user)


async def add_key(identity: Identity, **fields: Any) -> ApiKey:
    key = an_api_key(SHOWN, **fields)
    async with identity.database.work() as work:
        await work.api_keys.add(key)
    return key


async def test_an_access_token_says_whose_it_is_and_what_they_may_do(
    identity: Identity, introspect: IntrospectToken, service: Actor
) -> None:
    user, pair = await entered(identity, "admin", "user")
    (session,) = identity.live_sessions(user)
    assert await introspect(service, pair.access_token) == Active(
        sub=user.id,
        sid=session.id,
        roles=("admin", "user"),
        permissions=sorted(OURS),
        exp=0,
    )


@pytest.mark.parametrize("token", ["", "x", SHOWN, "a.b.c"])
async def test_what_counts_for_nothing_is_not_active(
    introspect: IntrospectToken, service: Actor, token: str
) -> None:
    for kind in TokenType:
        assert await introspect(service, token, kind) is None


async def test_a_token_takes_no_other_kinds_place(
    identity: Identity, introspect: IntrospectToken, service: Actor
) -> None:
    """Who passes on what it was shown, without saying what it should be, gets access tokens only."""
    _, pair = await entered(identity)
    await add_key(identity)
    shown = {
        TokenType.ACCESS: pair.access_token,
        TokenType.REFRESH: pair.refresh_token,
        TokenType.API_KEY: SHOWN,
    }
    assert await introspect(service, pair.refresh_token) is None
    assert await introspect(service, SHOWN) is None
    active = {
        (kind, asked)
        for kind, token in shown.items()
        for asked in TokenType
        if await introspect(service, token, asked)
    }
    assert active == {(kind, kind) for kind in TokenType}


async def test_what_has_ended_is_not_active(
    identity: Identity, introspect: IntrospectToken, service: Actor
) -> None:
    user, pair = await entered(identity)
    async with identity.changing(user) as stored:
        stored.status = UserStatus.DISABLED
    assert await introspect(service, pair.access_token) is None
    assert await introspect(service, pair.refresh_token, TokenType.REFRESH) is None


async def test_a_refresh_token_counts_while_it_may_be_used(
    identity: Identity, introspect: IntrospectToken, service: Actor
) -> None:
    user, pair = await entered(identity)
    (session,) = identity.live_sessions(user)
    active = await introspect(service, pair.refresh_token, TokenType.REFRESH)
    assert active is not None
    assert (active.sid, active.exp) == (session.id, int(session.ends_at().timestamp()))
    following = await identity.refresh(refresh_token=pair.refresh_token, client=CLIENT)
    assert await introspect(service, following.refresh_token, TokenType.REFRESH)
    assert await introspect(service, pair.refresh_token, TokenType.REFRESH)
    identity.clock.now += GRACE
    assert await introspect(service, pair.refresh_token, TokenType.REFRESH) is None
    identity.clock.now += timedelta(days=31)
    assert await introspect(service, following.refresh_token, TokenType.REFRESH) is None
    assert identity.live_sessions(user), "asking is no use, and no replay"


async def test_a_key_says_what_it_may_do_now(
    identity: Identity, introspect: IntrospectToken, service: Actor
) -> None:
    user, _ = await entered(identity)
    key = await add_key(identity, maker_id=user.id, scopes=frozenset({"tasks:create", "users:manage"}))
    active = await introspect(service, SHOWN, TokenType.API_KEY)
    assert active == Active(user.id, None, (), ["tasks:create"], None, client_id=key.id)


async def test_others_may_neither_ask_nor_end(
    identity: Identity, introspect: IntrospectToken, revoke: RevokeToken
) -> None:
    user, pair = await entered(identity)
    for use_case in (introspect, revoke):
        with pytest.raises(PermissionMissing):
            await use_case(an_actor("users:manage"), pair.access_token)
    assert identity.live_sessions(user)


@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
async def test_revoking_a_token_ends_its_session_and_no_other(
    identity: Identity, revoke: RevokeToken, service: Actor, which: str
) -> None:
    user, pair = await entered(identity)
    other = await identity.enter(user)
    await revoke(service, getattr(pair, which))
    (left,) = identity.live_sessions(user)
    assert left.id == (await identity.principal(other)).session_id


async def test_a_used_refresh_token_still_ends_its_session(
    identity: Identity, revoke: RevokeToken, service: Actor
) -> None:
    user, pair = await entered(identity)
    await identity.refresh(refresh_token=pair.refresh_token, client=CLIENT)
    await revoke(service, pair.refresh_token)
    assert identity.live_sessions(user) == []


async def test_revoking_a_key_ends_it(identity: Identity, revoke: RevokeToken, service: Actor) -> None:
    key = await add_key(identity)
    await revoke(service, SHOWN[:-1] + "x")
    assert identity.database.store.api_keys.api_keys[key.id].revoked_at is None
    await revoke(service, SHOWN)
    await revoke(service, SHOWN)
    assert identity.database.store.api_keys.api_keys[key.id].revoked_at == identity.clock()
    assert [name for name, _ in identity.facts()].count("identity.api_key_revoked") == 1


@pytest.mark.parametrize("token", ["", "x", SHOWN, "a.b.c"])
async def test_what_is_no_token_ends_nothing(
    identity: Identity, revoke: RevokeToken, service: Actor, token: str
) -> None:
    user, _ = await entered(identity)
    await revoke(service, token)
    assert identity.live_sessions(user)
