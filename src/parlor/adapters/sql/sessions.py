"""Sessions in PostgreSQL, for readers."""

from uuid import UUID

from parlor.adapters.sql.engine import Database
from parlor.adapters.sql.views import after_key, json_object, moment, page_of, paged, same
from parlor.core.identity.model import SESSION_IDLE
from parlor.core.identity.use_cases import Principal
from parlor.core.shared.ids import SessionId
from parlor.core.shared.paging import Page, PageRequest

_SESSION = json_object(
    {"id": "id", "created_at": moment("created_at"), "last_used_at": moment("last_used_at")}
    | same("ip", "user_agent")
    | {"current": "id = $5"}
)
_ISSUED_FOR = "select session_id from refresh_tokens where fingerprint = $1"
_SESSIONS = paged(
    _SESSION,
    "created_at",
    """sessions where user_id = $1 and ended_at is null and expires_at > clock_timestamp()
                  and last_used_at > clock_timestamp() - $6::interval
                  and ($2::timestamptz is null or (created_at, id) < ($2, $3))""",
    "$4::int",
)


class SqlSessionViews:
    """Port `SessionViews`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, viewer: Principal, page: PageRequest) -> Page[bytes]:
        """Read a page, newest first."""
        asked = (*after_key(page.after), page.limit, viewer.session_id, SESSION_IDLE)
        async with self._database.session() as session:
            return page_of(await session.fetchrow(_SESSIONS, viewer.user.id, *asked))


class SqlFamilies:
    """Port `Families`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def session_of(self, presented: bytes) -> SessionId | None:
        """Look the token up."""
        async with self._database.session() as session:
            found: UUID | None = await session.fetchval(_ISSUED_FOR, presented)
        return None if found is None else SessionId(found)
