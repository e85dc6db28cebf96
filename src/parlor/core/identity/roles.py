"""Roles: permissions under a name, and whoever keeps them."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from parlor.core.identity.ports import IdentityWork
from parlor.core.shared.actor import Actor
from parlor.core.shared.errors import Conflict, Flaw, Forbidden, Invalid
from parlor.core.shared.ids import UserId
from parlor.core.shared.paging import Page, PageRequest

MANAGE_ROLES = "roles:manage"
ADMIN = "admin"
BUILT_IN = frozenset({ADMIN, "user"})
OURS = frozenset(
    {
        "users:manage",
        MANAGE_ROLES,
        "api_keys:manage",
        "parties:manage",
        "parties:read",
        "parties:write",
        "chats:moderate",
        "tasks:manage",
        "tasks:create",
        "tasks:create:http_request",
        "tokens:introspect",
    }
)
# The words that ours begin with: nobody else's permission does.
RESERVED = frozenset(permission.partition(":")[0] for permission in OURS)

NAME = r"[a-z0-9][a-z0-9_.-]{0,63}"
MAX_DESCRIPTION = 500
MAX_PERMISSION = 64
MAX_PERMISSIONS = 100
MAX_ROLES = 1000
MAX_ROLES_OF_ONE = 50
MAX_HOLDERS = 1000  # of a role that is removed: each of them is changed by it

_PERMISSION = re.compile(r"[a-z0-9][a-z0-9_-]*(:[a-z0-9][a-z0-9_-]*)+")


class RoleExists(Conflict):
    """Another role already has this name."""

    code = "role_exists"


class BuiltinRole(Conflict):
    """`admin` and `user` stay and are never empty, and `admin` keeps every permission of Parlor's own."""

    code = "builtin_role"


class LastAdmin(Conflict):
    """Nobody active would be left who holds `roles:manage`."""

    code = "last_admin"


class RoleInUse(Conflict):
    """More than 1,000 users hold this role; take its permissions away instead, or take it from them first."""

    code = "role_in_use"


class TooManyRoles(Conflict):
    """There may be 1,000 roles, and one user may hold 50 of them."""

    code = "too_many_roles"


class PermissionNotHeld(Forbidden):
    """One can only give the permissions that one holds."""

    code = "permission_not_held"


class InvalidPermission(Invalid):
    """A permission is two or more words of a-z, 0-9, _ and -, joined by colons: `films:watch`."""

    code = "invalid_permission"


class UnknownPermission(Invalid):
    """The first word of this permission is one of Parlor's own, and Parlor has no such permission."""

    code = "unknown_permission"


@dataclass(slots=True)
class Role:
    """Permissions that users hold together."""

    name: str
    description: str = ""
    permissions: frozenset[str] = frozenset()

    def change(self, *, description: str | None, permissions: frozenset[str] | None) -> None:
        """Take over what is not None; permissions are replaced as a whole. Raises BuiltinRole."""
        if permissions is not None:
            if self.name in BUILT_IN and not permissions:
                raise BuiltinRole
            self.permissions = permissions
        if description is not None:
            self.description = description

    def must_be_whole(self) -> None:
        """Raise BuiltinRole where it is `admin` and lacks a permission of ours: nobody could give it back."""
        if self.name == ADMIN and not self.permissions >= OURS:
            raise BuiltinRole


@dataclass(frozen=True, slots=True)
class TokenClaims:
    """What access tokens say of their user beside who it is. Where they name roles, they end when those change."""

    roles: bool = False


@dataclass(frozen=True, slots=True)
class Permissions:
    """The permissions that Parlor knows: its own, and those that kinds of tasks ask for."""

    known: frozenset[str] = OURS

    def check(self, permissions: Sequence[str]) -> frozenset[str]:
        """Answer them as a set. Raises InvalidPermission, UnknownPermission, each with its place in the list."""
        for number, permission in enumerate(permissions):
            error = self._flaw_of(permission)
            if error is not None:
                raise error(flaws=[Flaw(f"/permissions/{number}", error.code, error().detail)])
        return frozenset(permissions)

    def _flaw_of(self, permission: str) -> type[Invalid] | None:
        if len(permission) > MAX_PERMISSION or not _PERMISSION.fullmatch(permission):
            return InvalidPermission
        if permission not in self.known and permission.partition(":")[0] in RESERVED:
            return UnknownPermission
        return None


def must_hold(actor: Actor, permissions: Collection[str]) -> None:
    """Raise PermissionNotHeld unless the actor may give these: an admin, who has all of ours, may give any."""
    has_all_of_ours = actor.permissions >= OURS
    if not has_all_of_ours and not actor.permissions.issuperset(permissions):
        raise PermissionNotHeld


class Roles(Protocol):
    """Roles, for commands. A role is locked before users are."""

    async def add(self, role: Role) -> None:
        """Raises RoleExists, also when another transaction commits the same name first, and TooManyRoles."""
        ...

    async def get(self, name: str) -> Role:
        """Raises NotFound. The row stays locked until the transaction ends."""
        ...

    async def find(self, name: str) -> Role | None:
        """Find without a lock."""
        ...

    async def save(self, role: Role) -> None: ...

    async def lock_holders(self, role: Role) -> None:
        """Lock all who hold it. Raises RoleInUse where they are more than 1,000."""
        ...

    async def remove(self, role: Role, at: datetime, *, end_tokens: bool) -> Sequence[UserId]:
        """Take it from all who hold it, locked before, and delete it; answers who they were, by id.

        They are changed by that, and their older access tokens end where that is asked for.
        """
        ...

    async def must_keep_an_admin(
        self, *, without_user: UserId | None = None, without_role: str | None = None
    ) -> None:
        """Raise LastAdmin where what is about to go is all that lets somebody active hold `roles:manage`.

        What goes: all that this user has, or this role for everybody, or with both this role of this user. To be
        asked before the change, in its transaction, after every lock on roles and users: whoever else asks
        waits until this transaction has ended, so that two who remove each other leave one.
        """
        ...


class RoleWork(IdentityWork, Protocol):
    """A transaction of identity with its roles."""

    @property
    def roles(self) -> Roles: ...


class RoleBook(Protocol):
    """What each role permits: the few rows that everybody's permissions are made of."""

    async def read(self) -> Mapping[str, frozenset[str]]: ...


def permitted(book: Mapping[str, frozenset[str]], roles: Collection[str]) -> frozenset[str]:
    """Put together what these roles permit; a role that the book does not know permits nothing."""
    return frozenset[str]().union(*(book.get(role, frozenset()) for role in roles))


class RoleViews(Protocol):
    """Roles as JSON, for whoever may manage them."""

    async def one(self, name: str) -> bytes:
        """Raises NotFound."""
        ...

    async def page(self, page: PageRequest) -> Page[bytes]:
        """By name."""
        ...
