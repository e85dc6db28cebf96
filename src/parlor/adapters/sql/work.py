"""One transaction: opened on first use, committed by a clean exit, with its reactions, outboxes and caches."""

from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Protocol, Self
from uuid import UUID

import structlog

from parlor.adapters.sql import idempotency, outbox
from parlor.adapters.sql.api_keys import SqlApiKeys
from parlor.adapters.sql.chat_members import SqlChatMembers
from parlor.adapters.sql.chats import SqlChatPeople, SqlChats
from parlor.adapters.sql.driver import PooledConnection
from parlor.adapters.sql.engine import Database
from parlor.adapters.sql.errors import translated, translating
from parlor.adapters.sql.history import SqlHistory
from parlor.adapters.sql.identity import SqlSessions, SqlUsers
from parlor.adapters.sql.letters import SqlDeadLetters
from parlor.adapters.sql.mail_orders import TaskMailOrders
from parlor.adapters.sql.mail_tokens import SqlMailTokens
from parlor.adapters.sql.messages import SqlMessages
from parlor.adapters.sql.parties import SqlBans, SqlInvitations, SqlMemberships, SqlParties, SqlPeople
from parlor.adapters.sql.roles import SqlRoles
from parlor.adapters.sql.schedules import SqlOwners, SqlSchedules
from parlor.adapters.sql.seats import SqlSeats
from parlor.adapters.sql.tasks import SqlTasks
from parlor.adapters.sql.tickets import SqlTickets
from parlor.core.chats.changes import Change
from parlor.core.identity.ports import UserChanges
from parlor.core.shared.events import Event
from parlor.core.shared.ids import ApiKeyId, UserId
from parlor.core.shared.work import Earlier, OnceKey, Reaction

log = structlog.get_logger()

DEEPEST = 8
Reactions = Mapping[type[Event], Sequence[Reaction[Any, Any]]]


class EndlessReactions(RuntimeError):
    """Reactions answered one another more than 8 times: a mistake in their wiring."""


class RolledBack(RuntimeError):
    """A statement of the transaction had failed, and its error was swallowed: nothing was committed."""


class Hints(Protocol):
    """Tells relays that an outbox has something (coalesced, never blocks), and listeners what became of a chat.

    All of it may be lost.
    """

    def tasks_due(self, *queues: str) -> None: ...
    def replays_due(self) -> None: ...
    def facts_due(self) -> None: ...
    async def chats_changed(self, changes: Sequence[Change]) -> None: ...


class SqlWork:
    """A unit of work with every context's repositories, on one connection.

    The connection is taken with the first statement. Tasks that were only added are written last; a work that does
    nothing else is one statement without a transaction around it (one round trip in place of three).
    """

    def __init__(self, database: Database, changes: UserChanges, hints: Hints, reactions: Reactions) -> None:
        self._database = database
        self._changes = changes
        self._hints = hints
        self._reactions = reactions
        self._session: PooledConnection | None = None
        self._events: deque[tuple[Event, int]] = deque()
        self._depth = 0
        self._after: list[Callable[[], Awaitable[None]]] = []
        self._touched: dict[tuple[UserId, str], None] = {}
        self._touched_keys: dict[ApiKeyId, str] = {}
        self._changed: list[Change] = []
        self._wrote_facts = False
        self.users = SqlUsers(self)
        self.sessions = SqlSessions(self)
        self.history = SqlHistory(self)
        self.roles = SqlRoles(self)
        self.tickets = SqlTickets(self)
        self.api_keys = SqlApiKeys(self)
        self.tasks = SqlTasks(self)
        self.letters = SqlDeadLetters(self)
        self.mail_tokens = SqlMailTokens(self)
        self.mail_orders = TaskMailOrders(self.tasks)
        self.schedules = SqlSchedules(self)
        self.owners = SqlOwners(self)
        self.parties = SqlParties(self)
        self.memberships = SqlMemberships(self)
        self.invitations = SqlInvitations(self)
        self.bans = SqlBans(self)
        self.people = SqlPeople(self)
        self.chat_people = SqlChatPeople(self)
        self.chats = SqlChats(self)
        self.chat_members = SqlChatMembers(self)
        self.messages = SqlMessages(self)
        self.seats = SqlSeats(self)

    async def session(self) -> PooledConnection:
        """Answer the connection, inside the transaction, with everything before it written."""
        session = await self._begun()
        await self.tasks.flush(session)
        return session

    def touch(self, user_id: UserId, email_key: str) -> None:
        """Say that this user changes: caches hear of it before the commit and after it."""
        self._touched[user_id, email_key] = None

    def touch_roles(self) -> None:
        """Say that what roles permit changes: every process hears of it after the commit."""
        self.after_commit(self._changes.roles_changed)

    def touch_key(self, key_id: ApiKeyId, prefix: str) -> None:
        """Say that this API key changes: caches hear of it as of users."""
        self._touched_keys[key_id] = prefix

    def tell(self, change: Change) -> None:
        """Say what became of a chat: its listeners hear of it after the commit."""
        self._changed.append(change)

    def publish(self, event: Event) -> None:
        """Append a fact, one level below the reaction that publishes it."""
        self._events.append((event, self._depth))

    def after_commit(self, call: Callable[[], Awaitable[None]]) -> None:
        """Run `call` once the commit is in."""
        self._after.append(call)

    async def once(self, key: OnceKey | None, *, status: int, ids: Sequence[UUID]) -> Earlier | None:
        """Claim the key, or answer what its first request was answered."""
        return None if key is None else await idempotency.claim(await self.session(), key, status, ids)

    async def amend(self, key: OnceKey | None, *, status: int, ids: Sequence[UUID]) -> None:
        """Replace the stored answer."""
        if key is not None:
            await idempotency.amend(await self.session(), key, status, ids)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with translating():
            try:
                if error is None:
                    await self._complete()
                    self._pass_connection_on()
            finally:
                await self._give_connection_back()  # which rolls back whatever was not committed
        if error is None:
            await self._follow_up()
        elif isinstance(error, Exception) and (other := translated(error)) is not None:
            raise other from error

    async def _complete(self) -> None:
        await self._react()
        if self._session is None and self.tasks.waiting:
            self._session = await self._database.lender.acquire()
            await self.tasks.flush(self._session)
        elif self._session is not None:
            await self.tasks.flush(self._session)
            await self._commit(self._session)

    async def _react(self) -> None:
        while self._events:
            event, depth = self._events.popleft()
            if depth > DEEPEST:
                raise EndlessReactions(event.name)
            self._depth = depth + 1
            for reaction in self._reactions.get(type(event), ()):
                await reaction(event, self)
            await outbox.add_fact(await self.session(), event)
            self._wrote_facts = True

    async def _commit(self, session: PooledConnection) -> None:
        if not self._touched and not self._touched_keys:
            await _commit(session)
            return
        touched, keys = tuple(self._touched), tuple(self._touched_keys.items())
        mark = await self._changes.about_to_change(touched, keys)
        try:
            await _commit(session)
        finally:
            await self._changes.changed(touched, mark, keys)

    async def _begun(self) -> PooledConnection:
        if self._session is None:
            self._session = await self._database.lender.acquire()
            await self._session.execute("begin")
        return self._session

    def _pass_connection_on(self) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            self._database.lender.pass_on(session)

    async def _give_connection_back(self) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            await self._database.lender.release(session)

    async def _follow_up(self) -> None:
        if self.tasks.made_due:
            self._hints.tasks_due(*self.tasks.made_due)
        if self.letters.made_due:
            self._hints.replays_due()
        if self._wrote_facts or self.tasks.told:
            self._hints.facts_due()
        if self._changed:
            await self._hints.chats_changed(self._changed)
        for call in self._after:
            try:
                await call()
            except Exception:
                log.warning("after_commit_failed", exc_info=True)


async def _commit(session: PooledConnection) -> None:
    """Commit; PostgreSQL answers ROLLBACK, and no error, where a statement had failed and somebody went on."""
    if await session.execute("commit") != "COMMIT":
        raise RolledBack
