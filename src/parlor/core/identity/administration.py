"""What is done about other people: the roles that there are and who holds them, who may act at all."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from parlor.core.identity.events import RoleGranted, RoleTaken, UserDisabled, UserEnabled
from parlor.core.identity.model import MANAGE_USERS, User, UserStatus
from parlor.core.identity.ports import IdentityWork
from parlor.core.identity.roles import (
    BUILT_IN,
    MANAGE_ROLES,
    MAX_ROLES_OF_ONE,
    BuiltinRole,
    Permissions,
    Role,
    RoleWork,
    TokenClaims,
    TooManyRoles,
    must_hold,
)
from parlor.core.shared.actor import Actor
from parlor.core.shared.clock import Clock
from parlor.core.shared.errors import NotFound
from parlor.core.shared.ids import UserId
from parlor.core.shared.paging import Page, PageRequest
from parlor.core.shared.preconditions import ANY_VERSION, Expected
from parlor.core.shared.work import UnitOfWork


@dataclass(frozen=True, slots=True)
class Sought:
    """Which users a list shows: each that is given must fit."""

    text: str | None = None
    role: str | None = None
    status: UserStatus | None = None


class UserViews(Protocol):
    """Users as JSON, as others than themselves see them."""

    async def public(self, user_id: UserId) -> bytes:
        """What everybody signed in may know: id and display name. Raises NotFound."""
        ...

    async def page(self, page: PageRequest, sought: Sought) -> Page[bytes]:
        """All there is to know, newest first. A text is part of the address or name, or begins one if it is short."""
        ...


@dataclass(frozen=True, slots=True)
class AddRole:
    """Whoever manages roles makes one. Nobody holds it yet, so they need not hold what it permits."""

    work: UnitOfWork[RoleWork]
    permissions: Permissions

    async def __call__(
        self, actor: Actor, *, name: str, description: str, permissions: Sequence[str]
    ) -> Role:
        actor.must(MANAGE_ROLES)
        role = Role(name, description, self.permissions.check(permissions))
        async with self.work() as work:
            await work.roles.add(role)
        return role


@dataclass(frozen=True, slots=True)
class ChangeRole:
    """Whoever manages roles changes one for all who hold it; what it permits in addition, they must hold."""

    work: UnitOfWork[RoleWork]
    permissions: Permissions

    async def __call__(
        self, actor: Actor, name: str, *, description: str | None, permissions: Sequence[str] | None
    ) -> Role:
        actor.must(MANAGE_ROLES)
        checked = None if permissions is None else self.permissions.check(permissions)
        async with self.work() as work:
            role = await work.roles.get(name)
            before = replace(role)
            role.change(description=description, permissions=checked)
            must_hold(actor, role.permissions - before.permissions)
            if MANAGE_ROLES in before.permissions - role.permissions:
                await work.roles.must_keep_an_admin(without_role=name)
            role.must_be_whole()
            if role != before:
                await work.roles.save(role)
        return role


@dataclass(frozen=True, slots=True)
class RemoveRole:
    """Whoever manages roles takes one from all who hold it, 1,000 at most, and deletes it."""

    work: UnitOfWork[RoleWork]
    claims: TokenClaims
    clock: Clock

    async def __call__(self, actor: Actor, name: str) -> None:
        actor.must(MANAGE_ROLES)
        async with self.work() as work:
            role = await work.roles.get(name)
            if role.name in BUILT_IN:
                raise BuiltinRole
            await work.roles.lock_holders(role)
            await work.roles.must_keep_an_admin(without_role=name)
            for user_id in await work.roles.remove(role, self.clock(), end_tokens=self.claims.roles):
                work.publish(RoleTaken(user_id, name))


@dataclass(frozen=True, slots=True)
class GrantRole:
    """Whoever manages roles, and holds what this one permits, gives it to a user; twice is once."""

    work: UnitOfWork[RoleWork]
    claims: TokenClaims
    clock: Clock

    async def __call__(
        self, actor: Actor, user_id: UserId, name: str, *, expected: Expected = ANY_VERSION
    ) -> None:
        actor.must(MANAGE_ROLES)
        async with self.work() as work:
            role = await work.roles.get(name)
            user = await work.users.get(user_id)
            must_hold(actor, role.permissions)
            expected.must_be(user.version)
            if name in user.roles:
                return
            if len(user.roles) >= MAX_ROLES_OF_ONE:
                raise TooManyRoles
            user.grant(name, self.clock())
            if self.claims.roles:
                user.end_all_tokens(self.clock())
            await work.users.save(user)
            work.publish(RoleGranted(user.id, name))


@dataclass(frozen=True, slots=True)
class TakeRole:
    """Whoever manages roles takes one from a user; one that is not held is taken already."""

    work: UnitOfWork[RoleWork]
    claims: TokenClaims
    clock: Clock

    async def __call__(
        self, actor: Actor, user_id: UserId, name: str, *, expected: Expected = ANY_VERSION
    ) -> None:
        actor.must(MANAGE_ROLES)
        async with self.work() as work:
            if await work.roles.find(name) is None:
                raise NotFound
            user = await work.users.get(user_id)
            expected.must_be(user.version)
            if name not in user.roles:
                return
            await work.roles.must_keep_an_admin(without_user=user.id, without_role=name)
            user.take(name, self.clock())
            if self.claims.roles:
                user.end_all_tokens(self.clock())
            await work.users.save(user)
            work.publish(RoleTaken(user.id, name))


@dataclass(frozen=True, slots=True)
class ChangeStatus:
    """Whoever manages users disables one, which ends their sessions, or enables one again."""

    work: UnitOfWork[RoleWork]
    clock: Clock

    async def __call__(
        self,
        actor: Actor,
        user_id: UserId,
        status: UserStatus | None,
        *,
        expected: Expected = ANY_VERSION,
    ) -> User:
        actor.must(MANAGE_USERS)
        async with self.work() as work:
            user = await work.users.get(user_id)
            expected.must_be(user.version)
            if status in (None, user.status):
                return user
            if status is UserStatus.DISABLED:
                await self._disable(work, user)
            else:
                user.enable(self.clock())
                await work.users.save(user)
                work.publish(UserEnabled(user.id))
        return user

    async def _disable(self, work: RoleWork, user: User) -> None:
        await work.roles.must_keep_an_admin(without_user=user.id)
        now = self.clock()
        user.disable(now)
        await work.users.save(user)
        await work.sessions.end(user, now)
        work.publish(UserDisabled(user.id))


@dataclass(frozen=True, slots=True)
class EndSessions:
    """Whoever manages users ends all sessions of one, and every token with them."""

    work: UnitOfWork[IdentityWork]
    clock: Clock

    async def __call__(self, actor: Actor, user_id: UserId) -> None:
        actor.must(MANAGE_USERS)
        now = self.clock()
        async with self.work() as work:
            user = await work.users.get(user_id)
            user.end_all_tokens(now)
            await work.users.save(user)
            await work.sessions.end(user, now)
