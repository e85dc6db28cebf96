"""The ports of identity in memory, and the makers of hashes and tokens in plain sight."""

import hashlib
from collections.abc import Awaitable, Callable, Collection, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from parlor.core.identity.history import LoginEntry, Method, Outcome
from parlor.core.identity.mail_tokens import InvalidMailToken, MailToken, Purpose
from parlor.core.identity.model import MAX_SESSIONS, Client, EmailTaken, InvalidToken, Session, User
from parlor.core.identity.ports import Claims, FreshToken, Snapshot
from parlor.core.identity.roles import Role
from parlor.core.identity.tickets import MAX_TICKETS, Ticket
from parlor.core.shared.errors import Contended, NotFound
from parlor.core.shared.ids import SessionId, UserId
from tests.fakes.roles import built_in_roles


@dataclass(slots=True)
class IdentityStore:
    """Rows by their keys; `families` is every token hash that a session ever had."""

    users: dict[UserId, User] = field(default_factory=dict)
    roles: dict[str, Role] = field(default_factory=built_in_roles)
    sessions: dict[SessionId, Session] = field(default_factory=dict)
    families: dict[bytes, SessionId] = field(default_factory=dict)
    tickets: dict[bytes, Ticket] = field(default_factory=dict)
    logins: list[LoginEntry] = field(default_factory=list)
    mail_tokens: dict[tuple[UserId, Purpose], MailToken] = field(default_factory=dict)


class FakeUsers:
    """Port Users."""

    def __init__(self, store: IdentityStore) -> None:
        self._store = store

    async def add(self, user: User) -> None:
        self._check_email(user)
        self._store.users[user.id] = deepcopy(user)

    async def get(self, user_id: UserId) -> User:
        user = await self.find(user_id)
        if user is None:
            raise NotFound
        return user

    async def find(self, user_id: UserId) -> User | None:
        return deepcopy(self._store.users.get(user_id))

    async def find_by_email(self, key: str) -> User | None:
        found = (user for user in self._store.users.values() if user.email_key == key)
        return deepcopy(next(found, None))

    async def save(self, user: User) -> None:
        stored = self._store.users.get(user.id)
        if stored is None or stored.version != user.version:
            raise Contended("users.version")
        self._check_email(user)
        user.version += 1
        self._store.users[user.id] = deepcopy(user)

    def _check_email(self, user: User) -> None:
        others = (other for other in self._store.users.values() if other.id != user.id)
        if any(other.email_key == user.email_key for other in others):
            raise EmailTaken


class FakeSessions:
    """Port Sessions."""

    def __init__(self, store: IdentityStore) -> None:
        self._store = store

    async def add(self, user: User, session: Session) -> None:
        await self.save(session)
        live = sorted(self._live(user), key=lambda one: (one.created_at, one.id), reverse=True)
        for oldest in live[MAX_SESSIONS:]:
            oldest.end(session.created_at)

    async def get_by_token(self, presented: bytes) -> Session | None:
        session_id = self._store.families.get(presented)
        return deepcopy(self._store.sessions[session_id]) if session_id else None

    async def save(self, session: Session) -> None:
        self._store.sessions[session.id] = deepcopy(session)
        self._store.families.setdefault(session.current, session.id)

    async def end(
        self, user: User, at: datetime, *, only: SessionId | None = None, but: SessionId | None = None
    ) -> int:
        meant = [one for one in self._live(user) if only in (None, one.id) and one.id != but]
        for session in meant:
            session.end(at)
        return len(meant)

    async def forget_clients(self, user_id: UserId, *, limit: int) -> int:
        mine = (one for one in self._store.sessions.values() if one.user_id == user_id)
        known = [one for one in mine if one.client != Client()][:limit]
        for session in known:
            session.client = Client()
        return len(known)

    def _live(self, user: User) -> list[Session]:
        sessions = self._store.sessions.values()
        return [one for one in sessions if one.user_id == user.id and one.ended_at is None]


class FakeFamilies:
    """Port Families."""

    def __init__(self, identity: Callable[[], IdentityStore]) -> None:
        self._identity = identity

    async def session_of(self, presented: bytes) -> SessionId | None:
        return self._identity().families.get(presented)


class FakeHistory:
    """Port History."""

    def __init__(self, store: IdentityStore) -> None:
        self._store = store

    async def add(self, entry: LoginEntry) -> None:
        if entry.outcome is not Outcome.THROTTLED or not any(
            _same_minute(entry, old) for old in self._store.logins
        ):
            self._store.logins.append(entry)

    async def forget_clients(self, user_id: UserId, *, limit: int) -> int:
        logins = self._store.logins
        mine = (number for number, line in enumerate(logins) if line.user_id == user_id)
        known = [number for number in mine if logins[number].client != Client()][:limit]
        for number in known:
            logins[number] = replace(logins[number], client=Client())
        return len(known)


def _same_minute(one: LoginEntry, other: LoginEntry) -> bool:
    def told(entry: LoginEntry) -> tuple[object, ...]:
        return entry.user_id, entry.outcome, entry.at.replace(second=0, microsecond=0)

    return told(one) == told(other)


class FakeAttempts:
    """Port Attempts: what has been committed, and rows that are there at once."""

    def __init__(self, identity: Callable[[], IdentityStore]) -> None:
        self._identity = identity

    async def familiar(self, account: str, client: Client, since: datetime) -> bool:
        return any(
            (old.user_id, old.client.network, old.outcome)
            == (self._user_id(account), client.network, Outcome.SUCCESS)
            and old.at > since
            for old in self._identity().logins
        )

    async def failed(
        self, account: str, outcome: Outcome, client: Client, at: datetime, method: Method = Method.PASSWORD
    ) -> None:
        user_id = self._user_id(account)
        if user_id is not None:
            entry = LoginEntry(user_id, at, outcome, method, client)
            await FakeHistory(self._identity()).add(entry)

    def _user_id(self, account: str) -> UserId | None:
        found = (user.id for user in self._identity().users.values() if user.email_key == account)
        return next(found, None)


class FakeTickets:
    """Port Tickets."""

    def __init__(self, store: IdentityStore) -> None:
        self._store = store

    async def add(self, ticket: Ticket) -> None:
        session = self._store.sessions.get(ticket.session_id)
        if session is None or session.ended_at is not None:
            raise InvalidToken
        self._store.tickets[ticket.fingerprint] = ticket
        mine = [one for one in self._store.tickets.values() if one.session_id == ticket.session_id]
        mine.sort(key=lambda one: one.fingerprint)
        mine.sort(key=lambda one: one.expires_at, reverse=True)
        for oldest in mine[MAX_TICKETS:]:
            del self._store.tickets[oldest.fingerprint]

    async def take(self, fingerprint: bytes) -> Ticket | None:
        return self._store.tickets.pop(fingerprint, None)


class FakeMailTokens:
    """Port MailTokens."""

    def __init__(self, store: IdentityStore) -> None:
        self._rows = store.mail_tokens

    async def replace(self, token: MailToken) -> None:
        self._rows[token.user_id, token.purpose] = token

    async def find(self, fingerprint: bytes, purpose: Purpose) -> MailToken:
        for row in self._rows.values():
            if (row.fingerprint, row.purpose) == (fingerprint, purpose):
                return row
        raise InvalidMailToken

    async def take(self, fingerprint: bytes, purpose: Purpose) -> MailToken:
        token = await self.find(fingerprint, purpose)
        del self._rows[token.user_id, token.purpose]
        return token

    async def revoke(self, user_id: UserId, *, purpose: Purpose | None = None) -> None:
        for key in [key for key in self._rows if key[0] == user_id and purpose in (None, key[1])]:
            del self._rows[key]


class FakeDirectory:
    """Ports Directory and Principals: what has been committed, without a cache."""

    def __init__(self, identity: Callable[[], IdentityStore]) -> None:
        self._identity = identity

    async def by_id(self, user_id: UserId) -> Snapshot | None:
        user = self._identity().users.get(user_id)
        return self._snapshot(user) if user else None

    async def by_email(self, key: str) -> Snapshot | None:
        found = (user for user in self._identity().users.values() if user.email_key == key)
        user = next(found, None)
        return self._snapshot(user) if user else None

    find = by_id

    def _snapshot(self, user: User) -> Snapshot:
        mine = (one for one in self._identity().sessions.values() if one.user_id == user.id)
        return Snapshot(
            id=user.id,
            email=user.email,
            email_verified=user.email_verified,
            display_name=user.display_name,
            roles=tuple(sorted(user.roles)),
            permissions=frozenset().union(*(self._identity().roles[role].permissions for role in user.roles)),
            status=user.status,
            epoch=user.epoch,
            sessions=frozenset(one.id for one in mine if one.ended_at is None),
            created_at=user.created_at,
            updated_at=user.updated_at,
            version=user.version,
        )


@dataclass(slots=True)
class FakeHasher:
    """Port PasswordHasher: its hashes show all. `meanwhile` happens during a verification."""

    scheme: str = "v2"
    verified: list[str | None] = field(default_factory=list)
    meanwhile: Callable[[], Awaitable[None]] | None = None

    async def hash(self, password: str) -> str:
        return f"{self.scheme}:{password}"

    async def verify(self, password: str, password_hash: str | None) -> bool:
        self.verified.append(password_hash)
        if self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            await meanwhile()
        return password_hash is not None and password_hash.partition(":")[2] == password

    def outdated(self, password_hash: str) -> bool:
        return not password_hash.startswith(f"{self.scheme}:")


@dataclass(slots=True)
class FakeAccessTokens:
    """Port AccessTokens: remembers what it issued."""

    life_s: int = 900
    issued: dict[str, Claims] = field(default_factory=dict)
    told_roles: dict[str, frozenset[str]] = field(default_factory=dict)

    def issue(
        self,
        user_id: UserId,
        session_id: SessionId,
        *,
        epoch: int,
        token_id: UUID,
        roles: Collection[str] = (),
    ) -> FreshToken:
        token = f"access-{token_id}"
        self.issued[token] = Claims(user_id, session_id, epoch, expires_at=0.0)
        self.told_roles[token] = frozenset(roles)
        return FreshToken(token, self.life_s)

    def verify(self, token: str) -> Claims:
        if token not in self.issued:
            raise InvalidToken
        return self.issued[token]


@dataclass(slots=True)
class FakeRefreshTokens:
    """Port RefreshTokens: `t1`, `t2` ..., and `t1+`, `t1++` ... after them; other `keys` derive others."""

    keys: str = "+"
    drawn: int = 0

    def first(self) -> str:
        self.drawn += 1
        return f"t{self.drawn}"

    def successors(self, presented: str) -> Sequence[str]:
        return [presented + key for key in self.keys]

    def fingerprint(self, token: str) -> bytes:
        return hashlib.sha256(token.encode()).digest()
