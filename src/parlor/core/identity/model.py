"""Users, and the sessions that they log in to."""

import re
import unicodedata
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from ipaddress import ip_address, ip_network

from parlor.core.shared.errors import Conflict, Flaw, Invalid, Unauthenticated
from parlor.core.shared.ids import SessionId, UserId, uuid7

PASSWORD_LENGTH = (8, 1024)
EMAIL_LENGTH = (3, 254)
DISPLAY_NAME_LENGTH = (1, 64)
DELETED_NAME = "deleted user"
MAX_SESSIONS = 50
MANAGE_USERS = "users:manage"
SESSION_IDLE = timedelta(days=30)
SESSION_LIFE = timedelta(days=180)

_EMAIL = re.compile(r"[^@\s<>()\[\],;:\\\"]{1,64}@[^@\s<>()\[\],;:\\\"]{1,189}")


class EmailTaken(Conflict):
    """Another account already has this e-mail address."""

    code = "email_taken"


class AccountDeleted(Conflict):
    """The account was deleted by its owner, and does not come back."""

    code = "account_deleted"


class InvalidCredentials(Unauthenticated):
    """The e-mail address or the password is wrong."""

    code = "invalid_credentials"


class InvalidGrant(Unauthenticated):
    """The refresh token is unknown, used up, expired or revoked."""

    code = "invalid_grant"


class InvalidToken(Unauthenticated):
    """The access token is malformed, expired or revoked."""

    code = "invalid_token"


class UserStatus(StrEnum):
    """Whether a user may log in."""

    ACTIVE = "active"
    DISABLED = "disabled"


def folded(text: str) -> str:
    """Fold form and case, NFKC before and after: twins in either are one."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def email_key(email: str) -> str:
    """Fold an address to the key under which it is unique."""
    return folded(email)


def check_email(email: str) -> str:
    """Answer the address, trimmed; raises Invalid where it has not the shape of one."""
    trimmed = email.strip()
    if not EMAIL_LENGTH[0] <= len(trimmed) <= EMAIL_LENGTH[1] or not _EMAIL.fullmatch(email_key(trimmed)):
        flaw = Flaw("/email", "invalid_email", "This is not an e-mail address.")
        raise Invalid(flaws=[flaw])
    return trimmed


def sought_key(written: str) -> str:
    """Fold what somebody wrote for an address to its key; what has not the shape of one, to what is nobody's key.

    So the text that stands in place of a deleted account's address leads to no account.
    """
    try:
        return email_key(check_email(written))
    except Invalid:
        return f"\n{email_key(written)}"


def display_name_from(email: str) -> str:
    """Make a first display name of the part before the @."""
    return email.partition("@")[0][: DISPLAY_NAME_LENGTH[1]]


@dataclass(slots=True)
class User:
    """A person with an account. `epoch` rises whenever every older access token must end."""

    id: UserId
    email: str
    display_name: str
    password_hash: str
    created_at: datetime
    updated_at: datetime
    email_verified: bool = False
    status: UserStatus = UserStatus.ACTIVE
    roles: frozenset[str] = frozenset({"user"})
    epoch: int = 0
    deleted_at: datetime | None = None
    version: int = 1

    @classmethod
    def newcomer(
        cls,
        email: str,
        password_hash: str,
        *,
        display_name: str | None,
        at: datetime,
        roles: frozenset[str] = frozenset({"user"}),
    ) -> "User":
        """Make the account that somebody registers; a name that is not given is made of the address."""
        return cls(
            id=UserId(uuid7()),
            email=email,
            display_name=display_name or display_name_from(email),
            password_hash=password_hash,
            created_at=at,
            updated_at=at,
            roles=roles,
        )

    @property
    def email_key(self) -> str:
        """What the address is unique by."""
        return email_key(self.email)

    @property
    def search_key(self) -> str:
        """What the user is found by: address and name, each behind the beginning of a line."""
        return folded(f"\n{self.email}\n{self.display_name}")

    @property
    def active(self) -> bool:
        """Whether the user may log in and act."""
        return self.status is UserStatus.ACTIVE

    def end_all_tokens(self, at: datetime) -> None:
        """Refuse every access token that was issued before."""
        self.epoch += 1
        self.updated_at = at

    def rename(self, display_name: str, at: datetime) -> None:
        """Be called something else."""
        self.display_name = display_name
        self.updated_at = at

    def change_password(self, password_hash: str, at: datetime) -> None:
        """Take another password; every access token of the time before ends."""
        self.password_hash = password_hash
        self.end_all_tokens(at)

    def verify_email(self, at: datetime) -> None:
        """Remember that the address was proved to be the user's."""
        self.email_verified = True
        self.updated_at = at

    def leave(self, at: datetime) -> None:
        """Be nobody from now on. What stands in place of the address, which is free, nobody can register."""
        self.email = f"deleted:{self.id}"
        self.email_verified = False
        self.display_name = DELETED_NAME
        self.password_hash = ""
        self.status = UserStatus.DISABLED
        self.roles = frozenset()
        self.deleted_at = at
        self.end_all_tokens(at)

    def grant(self, role: str, at: datetime) -> None:
        """Let the user hold this role too. Raises AccountDeleted."""
        if self.deleted_at is not None:
            raise AccountDeleted
        self.roles |= {role}
        self.updated_at = at

    def take(self, role: str, at: datetime) -> None:
        """Let the user hold this role no more."""
        self.roles -= {role}
        self.updated_at = at

    def disable(self, at: datetime) -> None:
        """Let the user neither log in nor act, and refuse every access token that was issued before."""
        self.status = UserStatus.DISABLED
        self.end_all_tokens(at)

    def enable(self, at: datetime) -> None:
        """Let the user log in again; what was ended stays so. Raises AccountDeleted."""
        if self.deleted_at is not None:
            raise AccountDeleted
        self.status = UserStatus.ACTIVE
        self.updated_at = at

    def rehash(self, password_hash: str) -> None:
        """Take the same password under a newer hash."""
        self.password_hash = password_hash


@dataclass(frozen=True, slots=True)
class Client:
    """Where a request came from, as the history and the list of sessions show it."""

    ip: str | None = None
    user_agent: str | None = None

    @property
    def network(self) -> str:
        """Whose doing it is: an IPv4 address, or the /64 that one holder of IPv6 addresses has; empty when unknown."""
        try:
            address = ip_address(self.ip or "")
        except ValueError:
            return ""
        if address.version == 4:  # noqa: PLR2004 - IP's own number
            return str(address)
        return str(ip_network((address.packed, 64), strict=False))


@dataclass(slots=True)
class Session:
    """One login, and the family of refresh tokens that keeps it alive.

    Only `current` may be rotated. Its direct parent answers with the same successor for the grace window, as long
    as the current one is unused; by construction `current` is unused, since its use would make its successor the
    current one. Everything else in the family is a replay.
    """

    id: SessionId
    user_id: UserId
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    current: bytes
    parent: bytes | None = None
    rotated_at: datetime | None = None
    ended_at: datetime | None = None
    client: Client = field(default_factory=Client)

    def ends_at(self) -> datetime:
        """When it ends by itself: 30 days after its last use, 180 after its first."""
        return min(self.expires_at, self.last_used_at + SESSION_IDLE)

    def alive(self, at: datetime) -> bool:
        """Whether it still may be refreshed."""
        return self.ended_at is None and at < self.ends_at()

    def in_grace(self, presented: bytes, at: datetime, grace: timedelta) -> bool:
        """Whether it is the current token's direct parent, repeated within the grace window."""
        return presented == self.parent and self.rotated_at is not None and at < self.rotated_at + grace

    def rotate(self, successor: bytes, at: datetime) -> None:
        """Make the successor current; what was current may be repeated for the grace window."""
        self.parent, self.current = self.current, successor
        self.rotated_at = self.last_used_at = at

    def end(self, at: datetime) -> None:
        """End it for good; ending twice is once."""
        if self.ended_at is None:
            self.ended_at = at
