"""The ports of roles in memory."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from datetime import datetime

from parlor.core.identity.model import User
from parlor.core.identity.roles import (
    MANAGE_ROLES,
    MAX_HOLDERS,
    MAX_ROLES,
    OURS,
    LastAdmin,
    Role,
    RoleExists,
    RoleInUse,
    TooManyRoles,
)
from parlor.core.shared.errors import NotFound
from parlor.core.shared.ids import UserId

BUILT_IN = (
    Role("admin", "Everything.", OURS),
    Role("user", "What everybody has.", frozenset({"tasks:create"})),
)


def built_in_roles() -> dict[str, Role]:
    return {role.name: deepcopy(role) for role in BUILT_IN}


class FakeRoles:
    """Port Roles."""

    def __init__(self, roles: dict[str, Role], users: Mapping[UserId, User]) -> None:
        self._roles = roles
        self._users = users

    async def add(self, role: Role) -> None:
        if len(self._roles) >= MAX_ROLES:
            raise TooManyRoles
        if role.name in self._roles:
            raise RoleExists
        self._roles[role.name] = deepcopy(role)

    async def get(self, name: str) -> Role:
        role = await self.find(name)
        if role is None:
            raise NotFound
        return role

    async def find(self, name: str) -> Role | None:
        return deepcopy(self._roles.get(name))

    async def save(self, role: Role) -> None:
        self._roles[role.name] = deepcopy(role)

    async def lock_holders(self, role: Role) -> None:
        if len(self._holders(role)) > MAX_HOLDERS:
            raise RoleInUse

    async def remove(self, role: Role, at: datetime, *, end_tokens: bool) -> Sequence[UserId]:
        holders = self._holders(role)
        for user in holders:
            user.take(role.name, at)
            user.epoch += end_tokens
            user.version += 1
        del self._roles[role.name]
        return sorted(user.id for user in holders)

    async def must_keep_an_admin(
        self, *, without_user: UserId | None = None, without_role: str | None = None
    ) -> None:
        admins = [
            (user.id, role)
            for user in self._users.values()
            for role in user.roles
            if user.active and MANAGE_ROLES in self._roles[role].permissions
        ]
        going = [
            (user_id, role)
            for user_id, role in admins
            if without_user in (None, user_id) and without_role in (None, role)
        ]
        if going and going == admins:
            raise LastAdmin

    def _holders(self, role: Role) -> list[User]:
        return [user for user in self._users.values() if role.name in user.roles]
