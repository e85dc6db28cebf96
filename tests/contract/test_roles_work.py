"""Port Roles: one test body over memory and PostgreSQL."""

import asyncio
from collections.abc import Sequence

import pytest

from parlor.core.identity import roles
from parlor.core.identity.administration import ChangeStatus, GrantRole, RemoveRole, TakeRole
from parlor.core.identity.model import User, UserStatus
from parlor.core.identity.roles import (
    MANAGE_ROLES,
    OURS,
    LastAdmin,
    Role,
    RoleExists,
    RoleInUse,
    TokenClaims,
    TooManyRoles,
)
from parlor.core.shared.actor import Actor, ActorKind
from parlor.core.shared.errors import NotFound
from parlor.core.shared.ids import UserId
from tests.builders import a_user
from tests.contract.backends import Backend
from tests.fakes.clock import NOON, FakeClock
from tests.fakes.roles import BUILT_IN

ROUNDS = 20
ROOT = Actor(ActorKind.SYSTEM, permissions=OURS)
KEEPER = Role("keeper", permissions=frozenset({MANAGE_ROLES}))
WATCHER = Role("watcher", "Watches films.", frozenset({"films:watch", "films:rate"}))
ADMIN = frozenset({"admin", "user"})


async def added(backend: Backend, *made: Role) -> None:
    async with backend.work() as work:
        for role in made:
            await work.roles.add(role)


async def stored(backend: Backend, *names: str, **fields: object) -> User:
    user = a_user(roles=frozenset(names), **fields)
    async with backend.work() as work:
        await work.users.add(user)
    return user


async def user_of(backend: Backend, user: User) -> User:
    async with backend.work() as work:
        return await work.users.get(user.id)


async def keeps_an_admin(backend: Backend, *, user: User | None = None, role: str | None = None) -> bool:
    async with backend.work() as work:
        try:
            await work.roles.must_keep_an_admin(without_user=user.id if user else None, without_role=role)
        except LastAdmin:
            return False
    return True


async def test_the_built_in_roles_are_there(backend: Backend) -> None:
    async with backend.work() as work:
        for role in BUILT_IN:
            assert await work.roles.find(role.name) == await work.roles.get(role.name) == role


async def test_every_field_of_a_role_comes_back(backend: Backend) -> None:
    await added(backend, WATCHER)
    async with backend.work() as work:
        assert await work.roles.get("watcher") == await work.roles.find("watcher") == WATCHER


async def test_every_field_of_a_role_is_saved(backend: Backend) -> None:
    """But its name, which is its key."""
    await added(backend, Role("watcher"))
    async with backend.work() as work:
        await work.roles.get("watcher")
        await work.roles.save(WATCHER)
    async with backend.work() as work:
        assert await work.roles.find("watcher") == WATCHER


async def test_an_absent_role_is_not_found(backend: Backend) -> None:
    async with backend.work() as work:
        assert await work.roles.find("watcher") is None
        with pytest.raises(NotFound):
            await work.roles.get("watcher")


async def test_a_name_is_taken_once(backend: Backend) -> None:
    async def add() -> None:
        await added(backend, Role("watcher"))

    outcomes = await asyncio.gather(*(add() for _ in range(5)), return_exceptions=True)
    assert sorted(map(str, map(type, outcomes))) == sorted(map(str, [type(None), *[RoleExists] * 4]))


async def test_there_are_no_more_roles_than_a_process_keeps(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("parlor.adapters.sql.roles", "tests.fakes.roles"):
        monkeypatch.setattr(f"{module}.MAX_ROLES", 4)
    outcomes = await asyncio.gather(
        *(added(backend, Role(f"role{n}")) for n in range(5)), return_exceptions=True
    )
    assert sum(isinstance(outcome, TooManyRoles) for outcome in outcomes) == 3


async def test_a_role_that_too_many_hold_is_left_alone(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("parlor.adapters.sql.roles", "tests.fakes.roles"):
        monkeypatch.setattr(f"{module}.MAX_HOLDERS", 2)
    await added(backend, WATCHER)
    for number in range(3):
        await stored(backend, "watcher")
        async with backend.work() as work:
            if number < 2:
                await work.roles.lock_holders(WATCHER)
                continue
            with pytest.raises(RoleInUse):
                await work.roles.lock_holders(WATCHER)


@pytest.mark.parametrize("end_tokens", [False, True])
async def test_a_removed_role_is_gone_and_taken_from_its_holders(backend: Backend, end_tokens: bool) -> None:
    await added(backend, WATCHER, KEEPER)
    holders = [await stored(backend, "user", "watcher", "keeper") for _ in range(2)]
    other = await stored(backend, "user", "keeper")
    later = NOON.replace(hour=13)
    async with backend.work() as work:
        role = await work.roles.get("watcher")
        await work.roles.lock_holders(role)
        removed = await work.roles.remove(role, later, end_tokens=end_tokens)
    assert removed == sorted(user.id for user in holders)
    async with backend.work() as work:
        assert await work.roles.find("watcher") is None
    for user in holders:
        found = await user_of(backend, user)
        assert found.roles == {"user", "keeper"}
        assert (found.version, found.epoch, found.updated_at) == (2, int(end_tokens), later)
    assert await user_of(backend, other) == other


async def test_what_goes_may_not_be_all_that_manages_roles(backend: Backend) -> None:
    await added(backend, KEEPER, WATCHER)
    ada = await stored(backend, "admin", "keeper", "watcher")
    bob = await stored(backend, "user")
    assert await keeps_an_admin(backend, user=ada, role="admin"), "she keeps roles by the other role"
    assert await keeps_an_admin(backend, role="keeper")
    assert not await keeps_an_admin(backend, user=ada)
    assert await keeps_an_admin(backend, user=ada, role="watcher")
    assert await keeps_an_admin(backend, user=bob)
    assert await keeps_an_admin(backend, role="user")


async def test_one_who_is_disabled_is_no_admin(backend: Backend) -> None:
    ada = await stored(backend, "admin")
    off = await stored(backend, "admin", status=UserStatus.DISABLED)
    assert not await keeps_an_admin(backend, user=ada)
    assert not await keeps_an_admin(backend, user=ada, role="admin")
    assert not await keeps_an_admin(backend, role="admin")
    assert await keeps_an_admin(backend, user=off)


async def test_of_two_admins_each_may_go(backend: Backend) -> None:
    ada, bob = await stored(backend, "admin"), await stored(backend, "admin")
    assert await keeps_an_admin(backend, user=ada)
    assert await keeps_an_admin(backend, user=bob)
    assert not await keeps_an_admin(backend, role="admin")


async def test_where_nobody_manages_roles_nobody_is_kept_from_going(backend: Backend) -> None:
    ada = await stored(backend, "user")
    assert await keeps_an_admin(backend, user=ada)
    assert await keeps_an_admin(backend, role="admin")


async def removing(backend: Backend, way: int, user_id: UserId) -> None:
    """One of the ways in which somebody stops managing roles."""
    if way % 2:
        await TakeRole(backend.work, TokenClaims(), FakeClock())(ROOT, user_id, "admin")
    else:
        await ChangeStatus(backend.work, FakeClock())(ROOT, user_id, UserStatus.DISABLED)


async def admins(backend: Backend, users: Sequence[User]) -> int:
    found = [await user_of(backend, user) for user in users]
    return sum(user.active and "admin" in user.roles for user in found)


async def test_admins_who_remove_each_other_at_once_leave_one(backend: Backend) -> None:
    """Two, or three, in every way, again and again."""
    for round_ in range(ROUNDS):
        users = [await stored(backend, *ADMIN) for _ in range(2 + round_ % 2)]
        outcomes = await asyncio.gather(
            *(removing(backend, round_ // 2 + place, user.id) for place, user in enumerate(users)),
            return_exceptions=True,
        )
        refused = [outcome for outcome in outcomes if outcome is not None]
        assert list(map(type, refused)) == [LastAdmin]
        assert await admins(backend, users) == 1
        for user in users:
            async with backend.work() as work:
                left = await work.users.get(user.id)
                left.roles = frozenset()
                await work.users.save(left)


async def test_a_role_that_is_removed_while_it_is_granted_is_held_by_nobody(backend: Backend) -> None:
    """Or the grant finds it gone: never a deadlock, never a name without a role."""
    clock, claims = FakeClock(), TokenClaims()
    for _ in range(ROUNDS // 2):
        await added(backend, WATCHER)
        users = [await stored(backend, "user") for _ in range(3)]
        outcomes = await asyncio.gather(
            *(GrantRole(backend.work, claims, clock)(ROOT, user.id, "watcher") for user in users[:2]),
            RemoveRole(backend.work, claims, clock)(ROOT, "watcher"),
            GrantRole(backend.work, claims, clock)(ROOT, users[2].id, "watcher"),
            return_exceptions=True,
        )
        assert all(outcome is None or isinstance(outcome, NotFound) for outcome in outcomes), outcomes
        assert {(await user_of(backend, user)).roles for user in users} == {frozenset({"user"})}


async def test_roles_that_one_user_is_given_at_once_are_all_held(backend: Backend) -> None:
    """Whoever waits for the user sees them with the roles that the one before left."""
    names = [f"role{n}" for n in range(5)]
    await added(backend, *map(Role, names))
    user = await stored(backend, "user")
    grant = GrantRole(backend.work, TokenClaims(), FakeClock())
    await asyncio.gather(*(grant(ROOT, user.id, name) for name in names))
    assert (await user_of(backend, user)).roles == {"user", *names}


async def test_a_role_that_is_taken_while_it_is_removed_is_taken_once(backend: Backend) -> None:
    clock, claims = FakeClock(), TokenClaims()
    for _ in range(ROUNDS // 2):
        await added(backend, WATCHER)
        users = [await stored(backend, "watcher") for _ in range(2)]
        outcomes = await asyncio.gather(
            *(TakeRole(backend.work, claims, clock)(ROOT, user.id, "watcher") for user in users),
            RemoveRole(backend.work, claims, clock)(ROOT, "watcher"),
            return_exceptions=True,
        )
        assert all(outcome is None or isinstance(outcome, NotFound) for outcome in outcomes), outcomes
        assert [(await user_of(backend, user)).version for user in users] == [2, 2]
    told = [one.subject for one in await backend.told()]
    assert len(told) == len(set(told)) == ROUNDS // 2 * 2


def test_the_limits_are_the_ones_that_the_errors_tell() -> None:
    assert f"{roles.MAX_ROLES:,}" in str(TooManyRoles())
    assert f"{roles.MAX_ROLES_OF_ONE}" in str(TooManyRoles())
    assert f"{roles.MAX_HOLDERS:,}" in str(RoleInUse())
