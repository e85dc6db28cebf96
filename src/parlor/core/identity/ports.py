"""What identity needs from the world."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from parlor.core.identity.history import History
from parlor.core.identity.mail_orders import MailOrders
from parlor.core.identity.mail_tokens import MailTokens
from parlor.core.identity.model import Session, User, UserStatus
from parlor.core.shared.ids import ApiKeyId, SessionId, UserId
from parlor.core.shared.work import Work


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A user as readers see one: no password, with the permissions and live sessions that a request is checked by."""

    id: UserId
    email: str
    email_verified: bool
    display_name: str
    roles: tuple[str, ...]
    permissions: frozenset[str]
    status: UserStatus
    epoch: int
    sessions: frozenset[SessionId]
    created_at: datetime
    updated_at: datetime
    version: int


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified access token says."""

    user_id: UserId
    session_id: SessionId
    epoch: int
    expires_at: float


@dataclass(frozen=True, slots=True)
class FreshToken:
    """A signed access token and its life in seconds."""

    token: str
    expires_in: int


class Users(Protocol):
    """Users with their roles, for commands."""

    async def add(self, user: User) -> None:
        """Raises EmailTaken, also when another transaction commits the same address first."""
        ...

    async def get(self, user_id: UserId) -> User:
        """Raises NotFound. The row stays locked until the transaction ends."""
        ...

    async def find(self, user_id: UserId) -> User | None:
        """Find without a lock."""
        ...

    async def find_by_email(self, key: str) -> User | None:
        """Find by the key of `email_key`, without a lock."""
        ...

    async def save(self, user: User) -> None:
        """Raise the version, and store. Raises Contended when somebody else did first."""
        ...


class Sessions(Protocol):
    """Sessions and the hashes of every refresh token that they ever had."""

    async def add(self, user: User, session: Session) -> None:
        """Store the session with its current token; the user's oldest beyond 50 live ones end."""
        ...

    async def get_by_token(self, presented: bytes) -> Session | None:
        """Find the session that this token hash was ever issued for, ended ones too. Its row stays locked."""
        ...

    async def save(self, session: Session) -> None:
        """Store what changed; a new current token joins the family."""
        ...

    async def end(
        self, user: User, at: datetime, *, only: SessionId | None = None, but: SessionId | None = None
    ) -> int:
        """End the user's live sessions: `only` one, all `but` one, or all; answers how many."""
        ...

    async def forget_clients(self, user_id: UserId, *, limit: int) -> int:
        """Take address and browser out of so many of the user's sessions at most; answers out of how many."""
        ...


class IdentityWork(Work, Protocol):
    """A transaction of this context."""

    @property
    def users(self) -> Users: ...

    @property
    def sessions(self) -> Sessions: ...

    @property
    def history(self) -> History: ...

    @property
    def mail_tokens(self) -> MailTokens: ...

    @property
    def mail_orders(self) -> MailOrders: ...


class Directory(Protocol):
    """Users, for readers: may come from a cache, but never older than the last answered write."""

    async def by_id(self, user_id: UserId) -> Snapshot | None: ...

    async def by_email(self, key: str) -> Snapshot | None:
        """Find by the key of `email_key`."""
        ...


class Families(Protocol):
    """Refresh tokens by the session that they were issued for, for readers."""

    async def session_of(self, presented: bytes) -> SessionId | None:
        """Tell which session this token hash was ever issued for; used-up tokens and ended sessions count."""
        ...


class Principals(Protocol):
    """The users that requests act as: the directory with a copy in this process, at most 1 s old."""

    async def find(self, user_id: UserId) -> Snapshot | None: ...


class UserChanges(Protocol):
    """Who must hear that users and API keys change: the caches. Never raises; bounded to 0.2 s each."""

    async def about_to_change(
        self, users: Sequence[tuple[UserId, str]], keys: Sequence[tuple[ApiKeyId, str]] = ()
    ) -> str:
        """Before the commit: ids with e-mail keys, ids of API keys with prefixes. Answers the mark to drop."""
        ...

    async def changed(
        self, users: Sequence[tuple[UserId, str]], mark: str, keys: Sequence[tuple[ApiKeyId, str]] = ()
    ) -> None:
        """After the commit, or the rollback."""
        ...

    async def roles_changed(self) -> None:
        """After the commit: what roles permit is another."""
        ...


class PasswordHasher(Protocol):
    """Hashes in a bounded pool of its own. Every method raises Busy when its queue is full."""

    async def hash(self, password: str) -> str: ...

    async def verify(self, password: str, password_hash: str | None) -> bool:
        """Compare; None (an unknown user) costs the same time and is False."""
        ...

    def outdated(self, password_hash: str) -> bool:
        """Whether the hash is of a lower cost or an older scheme than `hash` makes now."""
        ...


class CommonPasswords(Protocol):
    """The passwords that everybody tries first."""

    def __contains__(self, password: str) -> bool: ...


class AccessTokens(Protocol):
    """Signed tokens that say who calls."""

    def issue(
        self,
        user_id: UserId,
        session_id: SessionId,
        *,
        epoch: int,
        token_id: UUID,
        roles: Collection[str] = (),
    ) -> FreshToken:
        """Sign one. What it says of roles is for other services; here nobody reads it."""
        ...

    def verify(self, token: str) -> Claims:
        """Raises InvalidToken, whatever is wrong with it."""
        ...


@dataclass(frozen=True, slots=True)
class PublicKeys:
    """What others may verify access tokens by: JWKs (RFC 7517), newest first; none where a shared secret signs."""

    keys: Sequence[Mapping[str, str]]


class RefreshTokens(Protocol):
    """Opaque refresh tokens: drawn once a login, then derived from one another."""

    def first(self) -> str:
        """Draw a new one: 256 random bits."""
        ...

    def successors(self, presented: str) -> Sequence[str]:
        """Derive the one that follows, and behind it what each older key of the server would have made of it.

        The same for the same token, unguessable without the keys.
        """
        ...

    def fingerprint(self, token: str) -> bytes:
        """SHA-256: all that is ever stored."""
        ...
