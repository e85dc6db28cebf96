"""Who there is: users, roles, sessions, API keys, and the login history."""

from collections.abc import Sequence
from typing import Any, cast

from sqlalchemy import ColumnElement, select

from parlor.adapters.sql import tables
from parlor.container import Container
from parlor.core.identity.administration import (
    ChangeStatus,
    EndSessions,
    GrantRole,
    RemoveRole,
    TakeRole,
)
from parlor.core.identity.api_keys_use_cases import RevokeApiKey
from parlor.core.identity.model import MANAGE_USERS, UserStatus, folded
from parlor.core.identity.roles import BUILT_IN, MANAGE_ROLES
from parlor.core.identity.sessions import EndSessionOf
from parlor.entrypoints.admin import rows
from parlor.entrypoints.admin.actions import Action
from parlor.entrypoints.admin.filters import Filter, one_of, user_is, uuid_in
from parlor.entrypoints.admin.lists import Rows

PEOPLE = "People"
SHORTEST_PART = 3  # of a shorter text the index knows only where a word begins with it
STATUSES = tuple(map(str, UserStatus))
MANAGE_KEYS = "api_keys:manage"


class Users(Rows, model=rows.User):
    """Everybody with an account."""

    name, name_plural, icon, category = "User", "Users", "fa-solid fa-user", PEOPLE
    about = "Who has an account, which roles they hold, and whether they may log in."
    permissions = (MANAGE_USERS,)
    column_list = ["email", "display_name", "status", "roles", "created_at"]
    column_details_list = [
        "email",
        "email_verified",
        "display_name",
        "status",
        "roles",
        "id",
        "created_at",
        "updated_at",
        "deleted_at",
    ]
    column_labels = {"email": "E-mail", "display_name": "Name", "email_verified": "E-mail verified"}
    searches = "part of the address or name, or id"
    filters = (
        Filter("status", "Status", one_of(tables.users.c.status, STATUSES), STATUSES),
        Filter(
            "role",
            "Role",
            lambda name: tables.users.c.id.in_(
                select(tables.user_roles.c.user_id).where(tables.user_roles.c.role == name)
            ),
        ),
    )
    elsewhere = (
        ("Sessions", "session", "user"),
        ("Logins", "login-entry", "user"),
        ("API keys", "api-key", "user"),
        ("Tasks", "task", "user"),
        ("Schedules", "schedule", "user"),
    )

    def search(self, term: str) -> ColumnElement[bool]:
        """Find a part of the address or name, or a word that begins with a shorter text."""
        found = uuid_in(term)
        if found is not None:
            return tables.users.c.id == found
        literal = folded(term).replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")
        pattern = f"%{literal}%" if len(literal) >= SHORTEST_PART else f"%\n{literal}%"
        return tables.users.c.search_key.like(pattern)

    async def choices(self, action: Action) -> Sequence[str]:
        """List the roles."""
        if not action.choose:
            return ()
        async with self.reading() as session:
            return list(
                (await session.scalars(select(tables.roles.c.name).order_by(tables.roles.c.name))).all()
            )

    @classmethod
    def actions_of(cls, container: Container) -> Sequence[Action]:
        """Let in, keep out, and give roles."""
        change, end = container.command(ChangeStatus), container.command(EndSessions)
        grant, take = container.command(GrantRole), container.command(TakeRole)
        return (
            Action(
                "disable",
                "Disable",
                "disabled",
                MANAGE_USERS,
                lambda doer, row: change(doer.actor, row.id, UserStatus.DISABLED),
                question="They can no longer log in; every session, token and API key of theirs ends at once.",
                danger=True,
                fits=lambda row: cast("bool", row.status == "active"),
            ),
            Action(
                "enable",
                "Enable",
                "enabled",
                MANAGE_USERS,
                lambda doer, row: change(doer.actor, row.id, UserStatus.ACTIVE),
                fits=lambda row: row.status == "disabled" and row.deleted_at is None,
            ),
            Action(
                "end-sessions",
                "End all sessions",
                "signed out everywhere",
                MANAGE_USERS,
                lambda doer, row: end(doer.actor, row.id),
                question="Every session and token ends at once. They can log in again.",
                danger=True,
            ),
            Action(
                "grant",
                "Grant a role",
                "given the role",
                MANAGE_ROLES,
                lambda doer, row: grant(doer.actor, row.id, doer.chosen),
                question="They may at once do what the role permits.",
                choose="Role",
            ),
            Action(
                "take",
                "Take a role",
                "deprived of the role",
                MANAGE_ROLES,
                lambda doer, row: take(doer.actor, row.id, doer.chosen),
                question="They may at once no longer do what only this role permits.",
                choose="Role",
                danger=True,
            ),
        )


class Roles(Rows, model=rows.Role):
    """What people may do."""

    name, name_plural, icon, category = "Role", "Roles", "fa-solid fa-id-badge", PEOPLE
    about = "Permissions under a name, for people to hold together."
    permissions = (MANAGE_ROLES,)
    order, ascending = ("name",), True
    column_list = ["name", "description", "permissions"]
    column_details_list = ["name", "description", "permissions"]
    searches = "the beginning of a name"
    new = "new_role"
    edit = "change_role"

    def read_key(self, written: str) -> Any:
        """Take a name as it is."""
        return written

    def search(self, term: str) -> ColumnElement[bool]:
        """Find names that begin so."""
        return tables.roles.c.name.startswith(term, autoescape=True)

    @classmethod
    def actions_of(cls, container: Container) -> Sequence[Action]:
        """Delete."""
        remove = container.command(RemoveRole)
        return (
            Action(
                "delete",
                "Delete",
                "deleted",
                MANAGE_ROLES,
                lambda doer, row: remove(doer.actor, row.name),
                question="It is taken from everybody who holds it.",
                danger=True,
                fits=lambda row: row.name not in BUILT_IN,
            ),
        )


class Sessions(Rows, model=rows.Session):
    """Where people are signed in."""

    name, name_plural, icon, category = "Session", "Sessions", "fa-solid fa-laptop", PEOPLE
    about = "Where people are signed in, and were."
    permissions = (MANAGE_USERS,)
    column_list = ["id", "user", "created_at", "last_used_at", "ended_at", "ip", "user_agent"]
    column_details_list = [*column_list, "expires_at"]
    column_labels = {
        "ip": "Address",
        "user_agent": "Browser",
        "created_at": "Began",
        "last_used_at": "Last used",
    }
    filters = (Filter("user", "User (e-mail or id)", user_is(tables.sessions.c.user_id)),)

    @classmethod
    def actions_of(cls, container: Container) -> Sequence[Action]:
        """End."""
        end = container.command(EndSessionOf)
        return (
            Action(
                "end",
                "End",
                "ended",
                MANAGE_USERS,
                lambda doer, row: end(doer.actor, row.user_id, row.id),
                question="Whoever uses it is signed out at once.",
                danger=True,
                fits=lambda row: row.ended_at is None,
            ),
        )


class ApiKeys(Rows, model=rows.ApiKey):
    """What services show."""

    name, name_plural, icon, category = "API key", "API keys", "fa-solid fa-key", PEOPLE
    about = "What services show in place of a person's token, and what it lets them do."
    permissions = (MANAGE_KEYS,)
    column_list = ["name", "prefix", "maker", "scopes", "created_at", "last_used_at", "revoked_at"]
    column_details_list = [
        "name",
        "prefix",
        "last_four",
        "maker",
        "scopes",
        "id",
        "created_at",
        "last_used_at",
        "expires_at",
        "revoked_at",
    ]
    searches = "prefix or id"
    filters = (Filter("user", "Maker (e-mail or id)", user_is(tables.api_keys.c.maker_id)),)

    def search(self, term: str) -> ColumnElement[bool]:
        """Find by the prefix that stands in the key."""
        found = uuid_in(term)
        return tables.api_keys.c.prefix == term if found is None else tables.api_keys.c.id == found

    @classmethod
    def actions_of(cls, container: Container) -> Sequence[Action]:
        """Revoke."""
        revoke = container.command(RevokeApiKey)
        return (
            Action(
                "revoke",
                "Revoke",
                "revoked",
                MANAGE_KEYS,
                lambda doer, row: revoke(doer.actor, row.id),
                question="Whoever uses it is refused at once, for good.",
                danger=True,
                fits=lambda row: row.revoked_at is None,
            ),
        )


class Logins(Rows, model=rows.LoginEntry):
    """How accounts were entered, or were not."""

    name, name_plural, icon, category = "Login", "Logins", "fa-solid fa-clock-rotate-left", PEOPLE
    about = "Who came into an account, or tried to, from where and by which door."
    permissions = (MANAGE_USERS,)
    column_list = ["at", "user", "outcome", "method", "ip", "user_agent"]
    column_details_list = [*column_list, "session", "id"]
    column_labels = {"ip": "Address", "user_agent": "Browser"}
    filters = (Filter("user", "User (e-mail or id)", user_is(tables.logins.c.user_id)),)
