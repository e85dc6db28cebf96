"""LogOut, ResetPassword and Authenticate: which tokens still work afterwards."""

import pytest

from parlor.core.identity.model import InvalidCredentials, InvalidGrant, InvalidToken, User, UserStatus
from parlor.core.identity.use_cases import LogoutScope, TokenPair
from parlor.core.shared.actor import Actor, ActorKind
from parlor.core.shared.errors import Invalid, NotFound
from tests.builders import PASSWORD, a_user
from tests.unit.identity.conftest import CLIENT, Identity


async def works(identity: Identity, pair: TokenPair) -> bool:
    """Whether both tokens still do; they agree."""
    try:
        await identity.authenticate(pair.access_token)
    except InvalidToken:
        with pytest.raises(InvalidGrant):
            await identity.refresh(refresh_token=pair.refresh_token, client=CLIENT)
        return False
    await identity.refresh(refresh_token=pair.refresh_token, client=CLIENT)
    return True


async def entered_twice(identity: Identity) -> tuple[User, TokenPair, TokenPair]:
    user = await identity.add()
    return user, await identity.enter(user), await identity.enter(user)


async def test_a_token_tells_who_acts(identity: Identity) -> None:
    user = await identity.add(a_user(roles=frozenset({"user"})))
    pair = await identity.enter(user)
    principal = await identity.authenticate(pair.access_token)
    permissions = frozenset({"tasks:create"})
    assert principal.actor == Actor(ActorKind.USER, id=user.id, user_id=user.id, permissions=permissions)
    assert principal.user.email == user.email
    assert principal.session_id == identity.sessions(user)[0].id


async def test_a_token_that_does_not_verify_is_refused(identity: Identity) -> None:
    with pytest.raises(InvalidToken):
        await identity.authenticate("made up")


async def test_the_token_of_a_user_who_is_gone_is_refused(identity: Identity) -> None:
    user = await identity.add()
    pair = await identity.enter(user)
    del identity.database.store.identity.users[user.id]
    with pytest.raises(InvalidToken):
        await identity.authenticate(pair.access_token)


async def test_the_token_of_a_disabled_user_is_refused(identity: Identity) -> None:
    user = await identity.add()
    pair = await identity.enter(user)
    async with identity.changing(user) as stored:
        stored.status = UserStatus.DISABLED
    assert not await works(identity, pair)


async def test_a_token_of_an_earlier_epoch_is_refused(identity: Identity) -> None:
    user = await identity.add()
    pair = await identity.enter(user)
    async with identity.changing(user) as stored:
        stored.end_all_tokens(identity.clock())
    with pytest.raises(InvalidToken):
        await identity.authenticate(pair.access_token)
    again = await identity.refresh(refresh_token=pair.refresh_token, client=CLIENT)
    await identity.authenticate(again.access_token)


async def test_logging_out_ends_this_session_alone(identity: Identity) -> None:
    _, mine, other = await entered_twice(identity)
    await identity.log_out(await identity.principal(mine), scope=LogoutScope.THIS, client=CLIENT)
    assert not await works(identity, mine)
    assert await works(identity, other)


async def test_logging_out_twice_is_once(identity: Identity) -> None:
    user, mine, _ = await entered_twice(identity)
    principal = await identity.principal(mine)
    await identity.log_out(principal, scope=LogoutScope.THIS, client=CLIENT)
    before = identity.sessions(user)
    identity.clock.advance(seconds=1)
    await identity.log_out(principal, scope=LogoutScope.THIS, client=CLIENT)
    assert identity.sessions(user) == before


async def test_logging_the_others_out_keeps_this_session(identity: Identity) -> None:
    _, mine, other = await entered_twice(identity)
    await identity.log_out(await identity.principal(mine), scope=LogoutScope.OTHERS, client=CLIENT)
    assert await works(identity, mine)
    assert not await works(identity, other)


async def test_logging_out_everywhere_ends_every_token(identity: Identity) -> None:
    user, mine, other = await entered_twice(identity)
    await identity.log_out(await identity.principal(mine), scope=LogoutScope.ALL, client=CLIENT)
    assert not await works(identity, mine)
    assert not await works(identity, other)
    assert identity.user(user).epoch == 1
    assert await works(identity, await identity.enter(user))


@pytest.mark.parametrize("scope", LogoutScope)
async def test_nobody_elses_sessions_end(identity: Identity, scope: LogoutScope) -> None:
    user, stranger = await identity.add(), await identity.add()
    theirs = await identity.enter(stranger)
    await identity.log_out(await identity.principal(await identity.enter(user)), scope=scope, client=CLIENT)
    assert await works(identity, theirs)


async def test_a_new_password_ends_every_session(identity: Identity) -> None:
    user, mine, other = await entered_twice(identity)
    await identity.reset_password(email=f" {user.email.upper()} ", password="another password")
    assert not await works(identity, mine)
    assert not await works(identity, other)
    with pytest.raises(InvalidCredentials):
        await identity.enter(user)
    await identity.log_in(email=user.email, password="another password", client=CLIENT)


async def test_a_new_password_that_is_common_is_refused(identity: Identity) -> None:
    user = await identity.add()
    with pytest.raises(Invalid):
        await identity.reset_password(email=user.email, password="password1")
    assert identity.user(user).password_hash == f"v2:{PASSWORD}"


async def test_nobody_gets_a_password_at_an_unknown_address(identity: Identity) -> None:
    with pytest.raises(NotFound):
        await identity.reset_password(email="nobody@example.org", password="another password")
