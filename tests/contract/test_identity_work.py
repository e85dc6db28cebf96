"""Ports Users and Sessions: one test body over memory and PostgreSQL."""

import asyncio
from copy import deepcopy
from dataclasses import fields, replace
from datetime import timedelta

import pytest

from parlor.core.identity.model import MAX_SESSIONS, Client, EmailTaken, Session, User, UserStatus
from parlor.core.shared.errors import Contended, NotFound
from parlor.core.shared.ids import SessionId, UserId, uuid7
from tests.builders import a_session, a_user
from tests.contract.backends import Backend
from tests.fakes.clock import NOON

BEFORE, LATER = NOON - timedelta(hours=1), NOON + timedelta(hours=1)


def different(one: object, other: object) -> set[str]:
    """Name the fields in which two entities differ."""
    assert type(one) is type(other)
    return {
        field.name
        for field in fields(one)  # type: ignore[arg-type]  # both are dataclasses
        if getattr(one, field.name) != getattr(other, field.name)
    }


def a_full_user() -> User:
    """No field has its default."""
    return a_user(
        email="Ada@Example.org",
        display_name="Ada Lovelace",
        password_hash="hash",
        created_at=BEFORE,
        updated_at=LATER,
        email_verified=True,
        status=UserStatus.DISABLED,
        roles=frozenset({"admin", "user"}),
        epoch=7,
        deleted_at=LATER,
        version=3,
    )


def a_full_session(user: User) -> Session:
    """No field has its default."""
    return a_session(
        user,
        created_at=BEFORE,
        last_used_at=LATER,
        expires_at=NOON + timedelta(days=90),
        current=b"current",
        parent=b"parent",
        rotated_at=LATER,
        ended_at=LATER + timedelta(hours=1),
        client=Client(ip="192.0.2.9", user_agent="a browser"),
    )


async def stored(backend: Backend, user: User | None = None) -> User:
    user = user or a_user()
    async with backend.work() as work:
        await work.users.add(user)
    return user


async def saved(backend: Backend, user: User) -> None:
    async with backend.work() as work:
        await work.users.save(user)


async def opened(backend: Backend, user: User, **fields: object) -> Session:
    session = a_session(user, **fields)
    async with backend.work() as work:
        await work.sessions.add(user, session)
    return session


async def user_of(backend: Backend, user: User) -> User:
    async with backend.work() as work:
        return await work.users.get(user.id)


async def session_of(backend: Backend, token: bytes) -> Session:
    async with backend.work() as work:
        found = await work.sessions.get_by_token(token)
    assert found is not None
    return found


# Users


async def test_every_field_of_a_user_comes_back(backend: Backend) -> None:
    user = a_full_user()
    plain = a_user()
    assert different(user, plain) == {field.name for field in fields(User)}
    await stored(backend, user)
    async with backend.work() as work:
        for found in (
            await work.users.get(user.id),
            await work.users.find(user.id),
            await work.users.find_by_email(user.email_key),
        ):
            assert found is not None
            assert different(found, user) == set()


async def test_every_field_of_a_user_is_saved(backend: Backend) -> None:
    """But its id, and the version, which rises."""
    user = await stored(backend)
    changed = replace(a_full_user(), id=user.id, version=user.version)
    async with backend.work() as work:
        await work.users.get(user.id)
        await work.users.save(changed)
    assert changed.version == 2
    assert different(await user_of(backend, user), changed) == set()


async def test_a_user_without_a_role_comes_back(backend: Backend) -> None:
    user = await stored(backend, a_user(roles=frozenset()))
    assert (await user_of(backend, user)).roles == frozenset()


@pytest.mark.parametrize("roles", [frozenset(), frozenset({"admin"}), frozenset({"admin", "user"})])
async def test_roles_are_granted_and_taken(backend: Backend, roles: frozenset[str]) -> None:
    user = await stored(backend)
    async with backend.work() as work:
        found = await work.users.get(user.id)
        found.roles = roles
        await work.users.save(found)
    assert (await user_of(backend, user)).roles == roles


async def test_an_absent_user_is_not_found(backend: Backend) -> None:
    async with backend.work() as work:
        assert await work.users.find(UserId(uuid7())) is None
        assert await work.users.find_by_email("nobody@example.org") is None
        with pytest.raises(NotFound):
            await work.users.get(UserId(uuid7()))


async def test_a_user_is_found_by_the_key_alone(backend: Backend) -> None:
    await stored(backend, a_user(email="Ada@Example.org"))
    async with backend.work() as work:
        assert await work.users.find_by_email("Ada@Example.org") is None
        assert await work.users.find_by_email("ada@example.org") is not None


async def test_what_was_found_is_a_copy(backend: Backend) -> None:
    """Only `save` stores."""
    user = await stored(backend)
    async with backend.work() as work:
        found = await work.users.get(user.id)
        found.display_name = "changed"
        assert (await work.users.get(user.id)).display_name == user.display_name


async def test_an_address_is_taken_once(backend: Backend) -> None:
    await stored(backend, a_user(email="ada@example.org"))
    with pytest.raises(EmailTaken):
        await stored(backend, a_user(email="ADA@example.org"))


async def test_an_address_is_taken_once_in_one_transaction(backend: Backend) -> None:
    async def add_twice() -> None:
        async with backend.work() as work:
            await work.users.add(a_user(email="ada@example.org"))
            await work.users.add(a_user(email="ada@example.org"))

    with pytest.raises(EmailTaken):
        await add_twice()
    async with backend.work() as work:
        assert await work.users.find_by_email("ada@example.org") is None


async def test_an_address_is_taken_once_by_transactions_at_once(backend: Backend) -> None:
    """The first that commits has it."""
    users = [a_user(email="ada@example.org") for _ in range(6)]
    answers = await asyncio.gather(*(stored(backend, user) for user in users), return_exceptions=True)
    assert sum(isinstance(answer, EmailTaken) for answer in answers) == 5
    assert sum(isinstance(answer, User) for answer in answers) == 1


async def test_an_address_that_moves_to_a_taken_one_is_refused(backend: Backend) -> None:
    await stored(backend, a_user(email="ada@example.org"))
    user = await stored(backend)
    user.email = "ada@example.org"
    with pytest.raises(EmailTaken):
        await saved(backend, user)


async def test_the_second_of_two_writers_is_refused(backend: Backend) -> None:
    """What it read has changed since; nothing is silently overwritten."""
    user = await stored(backend)
    late = await user_of(backend, user)
    user.display_name = "first"
    await saved(backend, user)
    late.display_name = "second"
    with pytest.raises(Contended):
        await saved(backend, late)
    assert (await user_of(backend, user)).display_name == "first"


async def test_saving_twice_in_one_transaction_is_no_race(backend: Backend) -> None:
    user = await stored(backend)
    async with backend.work() as work:
        found = await work.users.get(user.id)
        await work.users.save(found)
        await work.users.save(found)
    assert (await user_of(backend, user)).version == 3


async def test_a_user_that_is_not_there_cannot_be_saved(backend: Backend) -> None:
    with pytest.raises(Contended):
        await saved(backend, a_user())


async def test_what_is_got_is_locked_until_the_commit(backend: Backend) -> None:
    """Ten increments at once are ten."""
    user = await stored(backend)

    async def increment() -> None:
        async with backend.work() as work:
            found = await work.users.get(user.id)
            await asyncio.sleep(0)
            found.epoch += 1
            await work.users.save(found)

    await asyncio.gather(*(increment() for _ in range(10)))
    assert (await user_of(backend, user)).epoch == 10


# Sessions


async def test_every_field_of_a_session_comes_back(backend: Backend) -> None:
    user = await stored(backend)
    session = a_full_session(user)
    assert different(session, a_session()) == {field.name for field in fields(Session)}
    async with backend.work() as work:
        await work.sessions.add(user, session)
    assert different(await session_of(backend, b"current"), session) == set()


async def test_a_session_without_its_optional_fields_comes_back(backend: Backend) -> None:
    user = await stored(backend)
    session = await opened(backend, user, client=Client())
    assert different(await session_of(backend, session.current), session) == set()


async def test_a_rotation_is_saved_and_every_token_of_the_family_finds_it(backend: Backend) -> None:
    user = await stored(backend)
    session = await opened(backend, user, current=b"first")
    for token in (b"second", b"third"):
        session = await session_of(backend, session.current)
        session.rotate(token, LATER)
        async with backend.work() as work:
            await work.sessions.save(session)
    for token in (b"first", b"second", b"third"):
        assert different(await session_of(backend, token), session) == set()


async def test_an_unknown_token_finds_nothing(backend: Backend) -> None:
    async with backend.work() as work:
        assert await work.sessions.get_by_token(b"unknown") is None


async def test_an_ended_session_is_still_found(backend: Backend) -> None:
    """A replay in it must be told from an unknown token."""
    user = await stored(backend)
    session = await opened(backend, user)
    async with backend.work() as work:
        await work.sessions.end(user, LATER)
    assert (await session_of(backend, session.current)).ended_at == LATER


async def test_sessions_end_by_their_scope(backend: Backend) -> None:
    user, other = await stored(backend), await stored(backend)
    mine = [await opened(backend, user) for _ in range(3)]
    theirs = await opened(backend, other)

    async def ended() -> list[bool]:
        found = [await session_of(backend, one.current) for one in (*mine, theirs)]
        return [one.ended_at is not None for one in found]

    async def end(at: int, only: SessionId | None = None, but: SessionId | None = None) -> None:
        async with backend.work() as work:
            await work.sessions.end(user, NOON + timedelta(minutes=at), only=only, but=but)

    await end(1, only=mine[0].id)
    assert await ended() == [True, False, False, False]
    await end(2, only=theirs.id)
    assert await ended() == [True, False, False, False]
    await end(3, but=mine[2].id)
    assert await ended() == [True, True, False, False]
    await end(4)
    assert await ended() == [True, True, True, False]
    first = await session_of(backend, mine[0].current)
    assert first.ended_at == NOON + timedelta(minutes=1)


async def test_the_oldest_session_beyond_the_limit_ends(backend: Backend) -> None:
    user, other = await stored(backend), await stored(backend)
    theirs = await opened(backend, other)
    sessions = [a_session(user, created_at=NOON + timedelta(seconds=n)) for n in range(MAX_SESSIONS + 3)]
    ended, first, second, *rest = sessions
    ended.end(NOON)
    async with backend.work() as work:
        for session in sessions:
            await work.sessions.add(user, deepcopy(session))
    found = {one.id: (await session_of(backend, one.current)).ended_at for one in (*sessions, theirs)}
    assert found[ended.id] == NOON
    assert found[first.id] == sessions[-2].created_at
    assert found[second.id] == sessions[-1].created_at
    assert {found[one.id] for one in (*rest, theirs)} == {None}


async def test_a_session_is_locked_while_its_token_is_looked_at(backend: Backend) -> None:
    """Twenty presentations of one token at once rotate once: nineteen find another current one."""
    user = await stored(backend)
    await opened(backend, user, current=b"first")

    async def present() -> bool:
        async with backend.work() as work:
            session = await work.sessions.get_by_token(b"first")
            assert session is not None
            await asyncio.sleep(0)
            if session.current != b"first":
                return False
            session.rotate(b"second", LATER)
            await work.sessions.save(session)
            return True

    assert sum(await asyncio.gather(*(present() for _ in range(20)))) == 1


async def test_a_token_names_its_session(backend: Backend) -> None:
    """The newest and the used-up ones; ended sessions too."""
    user = a_user()
    session = a_session(user, current=b"first")
    async with backend.work() as work:
        await work.users.add(user)
        await work.sessions.add(user, session)
        session.rotate(b"second", NOON)
        await work.sessions.save(session)
        await work.sessions.end(user, NOON)
    found = [await backend.families.session_of(token) for token in (b"first", b"second", b"third")]
    assert found == [session.id, session.id, None]


async def test_ending_tells_how_many_sessions_lived(backend: Backend) -> None:
    user, stranger = a_user(), a_user()
    one, other, theirs = a_session(user), a_session(user), a_session(stranger)
    async with backend.work() as work:
        for owner, session in ((user, one), (user, other), (stranger, theirs)):
            if session is not other:
                await work.users.add(owner)
            await work.sessions.add(owner, session)
    async with backend.work() as work:
        assert await work.sessions.end(user, NOON, only=theirs.id) == 0
        assert await work.sessions.end(user, NOON, only=SessionId(uuid7())) == 0
        assert await work.sessions.end(user, NOON, only=one.id) == 1
        assert await work.sessions.end(user, NOON, only=one.id) == 0
        assert await work.sessions.end(user, NOON) == 1
        assert await work.sessions.end(user, NOON, but=one.id) == 0


async def test_from_where_sessions_were_opened_is_forgotten_in_batches(backend: Backend) -> None:
    user, other = await stored(backend), await stored(backend)
    mine, theirs = [await opened(backend, user) for _ in range(3)], await opened(backend, other)
    for expected in (2, 1, 0):
        async with backend.work() as work:
            assert await work.sessions.forget_clients(user.id, limit=2) == expected
    for session in mine:
        assert await session_of(backend, session.current) == replace(session, client=Client())
    assert await session_of(backend, theirs.current) == theirs
