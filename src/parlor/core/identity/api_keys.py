"""API keys: what services show in place of a person's token."""

import hashlib
import hmac
import math
import re
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from secrets import token_hex, token_urlsafe
from typing import Protocol, Self

from parlor.core.identity.history import History
from parlor.core.identity.model import InvalidToken, UserStatus
from parlor.core.identity.ports import Principals, Users
from parlor.core.shared.actor import Actor, ActorKind
from parlor.core.shared.errors import Conflict, Flaw, Invalid, NotFound
from parlor.core.shared.ids import ApiKeyId, UserId, uuid7
from parlor.core.shared.paging import Page, PageRequest
from parlor.core.shared.work import Work

MANAGE = "api_keys:manage"
MAX_NAME = 100
SCOPE_LENGTH = (3, 64)
MAX_SCOPES = 50
MAX_KEYS = 100
LONGEST_KEY = 512

_SHAPE = re.compile(r"parlor_([A-Za-z0-9-]{1,32})_[!-~]{16,}")
SCOPE = re.compile(r"[a-z][a-z0-9_]*(:[a-z0-9_]+)+")


class InvalidApiKey(InvalidToken):
    """The API key is unknown, expired or revoked, or its maker's account has ended."""

    code = "invalid_api_key"


class TooManyApiKeys(Conflict):
    """One may have 100 API keys at most."""

    code = "too_many_api_keys"


class PrefixTaken(Conflict):
    """Another API key has this prefix."""

    code = "api_key_prefix_taken"


@dataclass(slots=True)
class ApiKey:
    """A key as it is stored: of what its holder shows, only the hash.

    It acts as its maker, as far as its scopes go. Without a maker it acts with its scopes alone.
    """

    id: ApiKeyId
    name: str
    prefix: str
    last_four: str
    fingerprint: bytes
    scopes: frozenset[str]
    maker_id: UserId | None
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    @classmethod
    def of(
        cls,
        shown: str,
        *,
        name: str,
        scopes: AbstractSet[str],
        maker_id: UserId | None,
        at: datetime,
        expires_at: datetime | None = None,
    ) -> Self:
        """Make the entity of a key that is shown for the only time."""
        return cls(
            id=ApiKeyId(uuid7()),
            name=name,
            prefix=prefix_of(shown),
            last_four=shown[-4:],
            fingerprint=fingerprint_of(shown),
            scopes=frozenset(scopes),
            maker_id=maker_id,
            created_at=at,
            expires_at=expires_at,
        )

    def must_be_visible(self, actor: Actor) -> None:
        """Raise NotFound unless the actor made it, or manages keys."""
        own = self.maker_id is not None and self.maker_id == actor.user_id
        if self.revoked_at is not None or not (own or actor.may(MANAGE)):
            raise NotFound

    def is_shown_by(self, shown: str) -> bool:
        """Whether this is the key that is stored here."""
        return hmac.compare_digest(self.fingerprint, fingerprint_of(shown))

    def revoke(self, at: datetime) -> None:
        """End it for good."""
        self.revoked_at = at


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A key as it is checked by."""

    id: ApiKeyId
    prefix: str
    fingerprint: bytes
    scopes: frozenset[str]
    maker_id: UserId | None
    expires_at: datetime | None
    revoked: bool

    def admits(self, shown: str, at: datetime) -> bool:
        """Whether this is what its holder shows, and it counts."""
        right = hmac.compare_digest(self.fingerprint, fingerprint_of(shown))
        return right and not self.revoked and (self.expires_at is None or at < self.expires_at)

    @property
    def ends_at(self) -> float:
        """When it ends by itself, in seconds since 1970."""
        return math.inf if self.expires_at is None else self.expires_at.timestamp()


@dataclass(frozen=True, slots=True)
class KeyPrincipal:
    """A service that a request acts as, by its key, and until when that counts (seconds since 1970)."""

    actor: Actor
    expires_at: float = math.inf


class ApiKeys(Protocol):
    """API keys, for commands; also those that were revoked."""

    async def add(self, key: ApiKey) -> None:
        """Raises PrefixTaken, also when another transaction commits the same prefix first."""
        ...

    async def get(self, key_id: ApiKeyId) -> ApiKey:
        """Raises NotFound. The row stays locked until the transaction ends."""
        ...

    async def get_by_prefix(self, prefix: str) -> ApiKey | None:
        """Find it; its row stays locked."""
        ...

    async def count(self, maker_id: UserId) -> int:
        """Count this maker's keys that were not revoked."""
        ...

    async def save(self, key: ApiKey) -> None:
        """Store its scopes, and whether it was revoked."""
        ...


class ApiKeyWork(Work, Protocol):
    """A transaction over keys and their makers."""

    @property
    def api_keys(self) -> ApiKeys: ...

    @property
    def users(self) -> Users: ...

    @property
    def history(self) -> History: ...


class KeyRing(Protocol):
    """Keys, for checks: may come from a cache, but never older than the last answered write, or 1 s."""

    async def find(self, prefix: str) -> KnownKey | None: ...


class KnownKeys(KeyRing, Protocol):
    """Keys, with what this process knows of them without asking anybody."""

    def last_known(self, prefix: str) -> KnownKey | None:
        """Recall a key as it was when it was last read here; None where it has changed since, or was not read."""
        ...


class KeyUses(Protocol):
    """Remembers when keys were last used: written later, in batches. Never blocks, and may be lost."""

    def note(self, key_id: ApiKeyId, at: datetime) -> None: ...


class ApiKeyViews(Protocol):
    """Keys as JSON, for readers: one's own, and everybody's for who manages them."""

    async def page(self, viewer: Actor, page: PageRequest) -> Page[bytes]: ...


async def find_key(keys: KeyRing, shown: str, at: datetime) -> KnownKey:
    """Find the key that is shown. Raises InvalidApiKey."""
    known = await keys.find(prefix_of(shown))
    if known is None or not known.admits(shown, at):
        raise InvalidApiKey
    return known


async def key_standing(principals: Principals, known: KnownKey) -> KeyPrincipal:
    """Tell what a key may do now. Raises InvalidApiKey where its maker's account has ended."""
    rights = known.scopes
    if known.maker_id is not None:
        maker = await principals.find(known.maker_id)
        if maker is None or maker.status is not UserStatus.ACTIVE:
            raise InvalidApiKey
        rights &= maker.permissions
    actor = Actor(kind=ActorKind.API_KEY, id=known.id, user_id=known.maker_id, permissions=rights)
    return KeyPrincipal(actor, known.ends_at)


def draw() -> str:
    """Draw a key: 64 random bits that find it, 256 that nobody guesses."""
    return f"parlor_{token_hex(8)}_{token_urlsafe(32)}"


def has_key_form(shown: str) -> bool:
    """Whether it can be a key at all."""
    return len(shown) <= LONGEST_KEY and _SHAPE.fullmatch(shown) is not None


def prefix_of(shown: str) -> str:
    """Answer what finds the key. Raises InvalidApiKey for what has not a key's form."""
    match = _SHAPE.fullmatch(shown) if len(shown) <= LONGEST_KEY else None
    if match is None:
        raise InvalidApiKey
    return match[1]


def fingerprint_of(shown: str) -> bytes:
    """Hash with SHA-256: 256 random bits are nothing to guess."""
    return hashlib.sha256(shown.encode()).digest()


def check_scopes(scopes: AbstractSet[str]) -> None:
    """Raise Invalid where one of them is no permission's name."""
    wrong = [scope for scope in sorted(scopes) if not SCOPE.fullmatch(scope)]
    if wrong:
        flaw = Flaw("/scopes", "invalid_scope", "A scope is a permission, such as tasks:create.")
        raise Invalid(flaws=[flaw])


def check_expiry(expires_at: datetime | None, now: datetime) -> None:
    """Raise Invalid where it would never have counted."""
    if expires_at is not None and expires_at <= now:
        raise Invalid(flaws=[Flaw("/expires_at", "too_long_ago", "This lies too far in the past.")])
