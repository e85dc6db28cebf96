"""What PostgreSQL says, in the domain's words."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import asyncpg

from parlor.core.identity.api_keys import PrefixTaken
from parlor.core.identity.model import EmailTaken
from parlor.core.identity.roles import RoleExists
from parlor.core.shared.errors import Contended, DatabaseAway, LockTimeout, ParlorError, Unavailable
from parlor.core.tasks.model import UniqueKeyTaken


class DatabaseSlow(Unavailable):
    """The database took too long to answer."""

    code = "database_timeout"


class PoolExhausted(Unavailable):
    """All database connections are in use; try again."""

    code = "database_busy"


BY_CONSTRAINT: Mapping[str | None, type[ParlorError]] = {
    "uq_users_email_key": EmailTaken,
    "pk_roles": RoleExists,
    "uq_api_keys_prefix": PrefixTaken,
    "uq_tasks_unique_key": UniqueKeyTaken,
}

# A twin was faster by a moment: run again, the use case finds it.
TWINS = frozenset({"pk_tasks", "uq_chats_direct_key", "uq_messages_client_id"})

AWAY = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a connection that the server is ending, used before its socket is closed
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,
)


def translated(error: BaseException) -> Exception | None:  # noqa: PLR0911 - one answer for each meaning
    """Answer the error to raise in place of a driver's, or None where it is not one of those with a meaning."""
    _forget_row(error)
    match error:
        case asyncpg.UniqueViolationError() if error.constraint_name in BY_CONSTRAINT:
            return BY_CONSTRAINT[error.constraint_name]()
        case asyncpg.UniqueViolationError() if error.constraint_name in TWINS:
            return Contended(str(error.constraint_name))
        case asyncpg.DeadlockDetectedError() | asyncpg.SerializationError():
            return Contended(type(error).__name__)
        case asyncpg.LockNotAvailableError():
            return LockTimeout()
        case asyncpg.QueryCanceledError():
            return DatabaseSlow()
        case _ if isinstance(error, AWAY):
            return DatabaseAway()
        case _:
            return None


def _forget_row(error: BaseException) -> None:
    """Drop the detail, which shows a refused row whole, a password's hash with it: errors are logged."""
    if isinstance(error, asyncpg.PostgresError):
        error.detail = None


@contextmanager
def translating() -> Iterator[None]:
    """Raise the domain's error in place of the driver's."""
    try:
        yield
    except Exception as error:
        other = translated(error)
        if other is None:
            raise
        raise other from error
