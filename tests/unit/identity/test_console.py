"""The console's door: whoever may manage something has a session of it, for a while."""

from dataclasses import replace

import pytest

from parlor.core.identity.attempts import LoginGuard
from parlor.core.identity.console import CONSOLE_IDLE, CONSOLE_LIFE, EnterConsole, StandInConsole, Visit
from parlor.core.identity.entering import Enter
from parlor.core.identity.history import Method, Outcome
from parlor.core.identity.model import InvalidCredentials, InvalidToken, User
from parlor.core.identity.sessions import EndSessionOf
from parlor.core.shared.actor import PermissionMissing
from parlor.core.shared.errors import NotFound
from tests.builders import PASSWORD, a_user, an_actor
from tests.fakes.clock import NOON
from tests.fakes.identity import FakeAttempts
from tests.unit.identity.conftest import CLIENT, Identity


def door(identity: Identity) -> EnterConsole:
    guard = LoginGuard(
        identity.throttle, FakeAttempts(lambda: identity.database.store.identity), identity.clock
    )
    enter = Enter(identity.database.work, guard, identity.hasher, identity.refreshing, identity.clock)
    return EnterConsole(enter, identity.directory)


async def come(identity: Identity, user: User, password: str = PASSWORD) -> Visit:
    return await door(identity)(email=user.email, password=password, client=CLIENT)


async def an_admin(identity: Identity) -> User:
    return await identity.add(a_user(roles=frozenset({"admin"})))


async def test_a_visit_is_a_session_of_its_own_that_stands_in_the_history(identity: Identity) -> None:
    user = await an_admin(identity)
    visit = await come(identity, user)
    (session,) = identity.sessions(user)
    assert (session.id, session.expires_at) == (visit.session_id, NOON + CONSOLE_LIFE)
    (line,) = identity.database.store.identity.logins
    assert (line.outcome, line.method, line.session_id) == (Outcome.SUCCESS, Method.CONSOLE, visit.session_id)


async def test_who_may_manage_nothing_opens_nothing_and_their_owner_sees_it(identity: Identity) -> None:
    user = await identity.add()
    for _ in range(20):
        with pytest.raises(PermissionMissing):
            await come(identity, user)
    assert identity.sessions(user) == []
    told = {(line.outcome, line.method, line.session_id) for line in identity.database.store.identity.logins}
    assert told == {(Outcome.SUCCESS, Method.CONSOLE, None)}


async def test_a_wrong_password_stands_in_the_history_by_its_door(identity: Identity) -> None:
    user = await an_admin(identity)
    with pytest.raises(InvalidCredentials):
        await come(identity, user, "wrong")
    (line,) = identity.database.store.identity.logins
    assert (line.outcome, line.method) == (Outcome.WRONG_PASSWORD, Method.CONSOLE)


async def test_a_visit_stands_for_its_user_until_it_ends_by_itself(identity: Identity) -> None:
    user = await an_admin(identity)
    visit = await come(identity, user)
    stand_in = StandInConsole(identity.directory, identity.clock)
    principal = await stand_in(visit)
    assert (principal.user.id, principal.session_id) == (user.id, visit.session_id)
    identity.clock.now += CONSOLE_IDLE
    with pytest.raises(InvalidToken):
        await stand_in(visit)
    seen = replace(visit, seen_at=identity.clock.now.timestamp())
    assert (await stand_in(seen)).user.id == user.id
    identity.clock.now = NOON + CONSOLE_LIFE
    with pytest.raises(InvalidToken):
        await stand_in(replace(visit, seen_at=identity.clock.now.timestamp()))


async def test_whoever_manages_users_ends_one_session_of_somebody_once(identity: Identity) -> None:
    user = await an_admin(identity)
    one, other = [await come(identity, user) for _ in range(2)]
    end = EndSessionOf(identity.database.work, identity.clock)
    with pytest.raises(PermissionMissing):
        await end(an_actor(), user.id, one.session_id)
    await end(an_actor("users:manage"), user.id, one.session_id)
    with pytest.raises(NotFound):
        await end(an_actor("users:manage"), user.id, one.session_id)
    ended = {session.id: session.ended_at for session in identity.sessions(user)}
    assert ended == {one.session_id: NOON, other.session_id: None}
