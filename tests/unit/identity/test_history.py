"""The login history: each login, failure, replay and logout is a line, and nothing else is."""

from datetime import timedelta

import pytest

from parlor.core.identity.history import LoginEntry, Method, Outcome
from parlor.core.identity.model import Client, InvalidCredentials, InvalidGrant, User, UserStatus
from parlor.core.identity.use_cases import LogoutScope
from parlor.core.shared.errors import NotFound, TooMany
from parlor.core.shared.ids import SessionId, uuid7
from tests.builders import PASSWORD, a_user
from tests.fakes.clock import NOON
from tests.unit.identity.conftest import CLIENT, GRACE, Identity

ELSEWHERE = Client(ip="198.51.100.4", user_agent="another browser")


def told(identity: Identity, user: User) -> list[tuple[Outcome, Method]]:
    return [(line.outcome, line.method) for line in identity.lines(user)]


async def test_a_login_is_a_line_with_its_session(identity: Identity) -> None:
    user = await identity.add()
    await identity.enter(user)
    (session,) = identity.sessions(user)
    assert identity.lines(user) == [
        LoginEntry(user.id, NOON, Outcome.SUCCESS, Method.PASSWORD, CLIENT, session.id)
    ]


async def test_a_wrong_password_is_a_line(identity: Identity) -> None:
    user = await identity.add()
    with pytest.raises(InvalidCredentials):
        await identity.log_in(email=user.email, password="wrong", client=ELSEWHERE)
    assert identity.lines(user) == [
        LoginEntry(user.id, NOON, Outcome.WRONG_PASSWORD, Method.PASSWORD, ELSEWHERE)
    ]


@pytest.mark.parametrize(
    ("password", "outcome"), [(PASSWORD, Outcome.DISABLED), ("wrong", Outcome.WRONG_PASSWORD)]
)
async def test_whoever_is_disabled_is_told_by_the_right_password_only(
    identity: Identity, password: str, outcome: Outcome
) -> None:
    user = await identity.add(a_user(status=UserStatus.DISABLED))
    with pytest.raises(InvalidCredentials):
        await identity.log_in(email=user.email, password=password, client=CLIENT)
    assert told(identity, user) == [(outcome, Method.PASSWORD)]


async def test_whoever_is_disabled_meanwhile_finds_a_line(identity: Identity) -> None:
    user = await identity.add()

    async def disable() -> None:
        async with identity.changing(user) as stored:
            stored.status = UserStatus.DISABLED

    identity.hasher.meanwhile = disable
    with pytest.raises(InvalidCredentials):
        await identity.enter(user)
    assert told(identity, user) == [(Outcome.DISABLED, Method.PASSWORD)]


async def test_refreshing_is_no_line_but_a_replay_is(identity: Identity) -> None:
    user = await identity.add()
    pair = await identity.enter(user)
    await identity.refresh(refresh_token=pair.refresh_token, client=CLIENT)
    identity.clock.now += GRACE
    with pytest.raises(InvalidGrant):
        await identity.refresh(refresh_token=pair.refresh_token, client=ELSEWHERE)
    (session,) = identity.sessions(user)
    assert identity.lines(user)[1:] == [
        LoginEntry(user.id, NOON + GRACE, Outcome.REFRESH_REUSE, Method.REFRESH, ELSEWHERE, session.id)
    ]


@pytest.mark.parametrize("scope", LogoutScope)
async def test_a_logout_is_a_line(identity: Identity, scope: LogoutScope) -> None:
    user = await identity.add()
    await identity.enter(user)
    principal = await identity.principal(await identity.enter(user))
    await identity.log_out(principal, scope=scope, client=ELSEWHERE)
    assert identity.lines(user)[2:] == [
        LoginEntry(user.id, NOON, Outcome.LOGOUT, Method.SESSION, ELSEWHERE, principal.session_id)
    ]


async def test_a_logout_that_ends_nothing_is_no_line(identity: Identity) -> None:
    user = await identity.add()
    principal = await identity.principal(await identity.enter(user))
    await identity.log_out(principal, scope=LogoutScope.OTHERS, client=CLIENT)
    assert told(identity, user) == [(Outcome.SUCCESS, Method.PASSWORD)]


# One's own sessions


async def test_a_session_that_one_ends_is_over_and_the_others_live(identity: Identity) -> None:
    user = await identity.add()
    other, mine = await identity.enter(user), await identity.enter(user)
    ended = (await identity.principal(other)).session_id
    principal = await identity.principal(mine)
    await identity.end_session(principal, ended, client=ELSEWHERE)
    assert [session.id for session in identity.live_sessions(user)] == [principal.session_id]
    assert identity.lines(user)[2:] == [
        LoginEntry(user.id, NOON, Outcome.LOGOUT, Method.SESSION, ELSEWHERE, ended)
    ]


async def test_nobody_ends_a_session_that_is_not_theirs_or_over(identity: Identity) -> None:
    user, stranger = await identity.add(), await identity.add()
    principal = await identity.principal(await identity.enter(user))
    theirs = (await identity.principal(await identity.enter(stranger))).session_id
    over = (await identity.principal(await identity.enter(user))).session_id
    await identity.end_session(principal, over, client=CLIENT)
    before = identity.lines(user), identity.lines(stranger)
    for session_id in (theirs, over, SessionId(uuid7())):
        with pytest.raises(NotFound):
            await identity.end_session(principal, session_id, client=CLIENT)
    assert len(identity.live_sessions(stranger)) == 1
    assert (identity.lines(user), identity.lines(stranger)) == before


# Refreshing too often


async def test_a_session_may_be_refreshed_sixty_times_a_minute(identity: Identity) -> None:
    """Whichever of its tokens is shown; another session counts for itself."""
    user = await identity.add()
    first, other = await identity.enter(user), await identity.enter(user)
    pair = first
    for _ in range(60):
        pair = await identity.refresh(refresh_token=pair.refresh_token, client=CLIENT)
    for token in (pair.refresh_token, first.refresh_token):
        with pytest.raises(TooMany) as refused:
            await identity.refresh(refresh_token=token, client=CLIENT)
        assert refused.value.retry_after == 1
    assert len(identity.live_sessions(user)) == 2
    await identity.refresh(refresh_token=other.refresh_token, client=CLIENT)
    identity.clock.now += timedelta(seconds=1)
    await identity.refresh(refresh_token=pair.refresh_token, client=CLIENT)
