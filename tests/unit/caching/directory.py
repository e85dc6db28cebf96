"""A user, and what stands in for the directory and the role book behind the caches."""

from collections.abc import Mapping
from datetime import UTC, datetime
from uuid import UUID

from parlor.core.identity.model import UserStatus
from parlor.core.identity.ports import Snapshot
from parlor.core.shared.ids import SessionId, UserId

ADA = Snapshot(
    # Fixed: it is part of some tests' names, which all workers must agree on.
    id=UserId(UUID("0190a000-0000-7000-8000-00000000000a")),
    email="Ada@Example.org",
    email_verified=True,
    display_name="Ada \U0001f642 Lovelace",
    roles=("admin", "user"),
    permissions=frozenset({"users:manage", "tasks:create"}),
    status=UserStatus.DISABLED,
    epoch=7,
    sessions=frozenset(SessionId(UUID(int=number)) for number in (1, 2)),
    created_at=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
    updated_at=datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC),
    version=3,
)
EMAIL = "ada@example.org"
BOOK = {"admin": frozenset({"users:manage"}), "user": frozenset({"tasks:create"})}


class Pages:
    """A role book that counts how often it is read."""

    def __init__(self, book: Mapping[str, frozenset[str]] = BOOK) -> None:
        self.book = dict(book)
        self.reads = 0

    async def read(self) -> Mapping[str, frozenset[str]]:
        self.reads += 1
        return dict(self.book)


class Table:
    """A directory that counts how often it is read."""

    def __init__(self, *users: Snapshot) -> None:
        self.users = {user.id: user for user in users}
        self.reads = 0

    async def by_id(self, user_id: UserId) -> Snapshot | None:
        self.reads += 1
        return self.users.get(user_id)

    async def by_email(self, key: str) -> Snapshot | None:
        self.reads += 1
        return next((user for user in self.users.values() if user.email.casefold() == key), None)

    def put(self, user: Snapshot) -> None:
        self.users[user.id] = user


class Stopwatch:
    """A monotonic clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now
