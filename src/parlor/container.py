"""Where every port meets its adapter. A mode is a choice of adapters here, and nowhere else."""

import random
import secrets
from collections.abc import Callable, Sequence

from parlor.adapters.cron import CronsimLines
from parlor.adapters.health import nothing
from parlor.adapters.hints import FeedHints
from parlor.adapters.http.caller import GuardedCaller
from parlor.adapters.http.generator import HttpCardGenerator
from parlor.adapters.http.guard import AllowList
from parlor.adapters.payloads import PydanticPayloads
from parlor.adapters.sql.engine import Database
from parlor.adapters.sql.letters import SqlLetterViews
from parlor.adapters.sql.operations import SqlOperationsViews
from parlor.adapters.sql.outbox import SqlOutboxes
from parlor.adapters.sql.runs import SqlRuns
from parlor.adapters.sql.schedules import SqlScheduleViews
from parlor.adapters.sql.sights import SqlTaskSights
from parlor.adapters.sql.upkeep import SqlUpkeep
from parlor.adapters.sql.views import SqlTaskViews
from parlor.adapters.sql.work import Reactions, SqlWork
from parlor.adapters.threads import DaemonThreads
from parlor.config import BadSettings, Settings
from parlor.core.chats.members import LeaveAllGroups
from parlor.core.chats.ports import ChatWork
from parlor.core.games.deck import DECK
from parlor.core.games.handlers import TruthOrDareHandler
from parlor.core.games.ports import CardGenerator
from parlor.core.identity.api_keys import ApiKeyWork
from parlor.core.identity.deletion import ForgetClients
from parlor.core.identity.events import UserDeleted
from parlor.core.identity.introspection import KeyedWork
from parlor.core.identity.mailing import Mail, SendMailHandler
from parlor.core.identity.ports import IdentityWork, UserChanges
from parlor.core.identity.roles import OURS, Permissions, RoleWork
from parlor.core.identity.tickets import TicketWork
from parlor.core.parties.farewell import LeaveEveryParty
from parlor.core.parties.ports import PartyWork
from parlor.core.shared.bus import Outboxes
from parlor.core.shared.clock import Clock, system_clock
from parlor.core.shared.farewell import Farewell
from parlor.core.shared.feed import Feed
from parlor.core.shared.spans import Tracer
from parlor.core.shared.work import UnitOfWork
from parlor.core.tasks.farewells import ForgetUserHandler, LeaveTasks, forget_user
from parlor.core.tasks.foreign import AdmitForeign, Producers
from parlor.core.tasks.http_request import HttpRequestHandler
from parlor.core.tasks.kinds import Kinds
from parlor.core.tasks.operations import OperationsViews
from parlor.core.tasks.ports import AnyHandler, LetterViews, Runs, TaskViews, TaskWork, Upkeep
from parlor.core.tasks.running import RunAttempt
from parlor.core.tasks.schedules_ports import CronLines, ScheduleViews, ScheduleWork
from parlor.core.tasks.waiting import Ends, FeedEnds
from parlor.core.tasks.watching import FeedMoves, Moves, TaskSights
from parlor.wiring.assembly import Assembly
from parlor.wiring.bus import wire_bus
from parlor.wiring.chats import chat_reactions, wire_chats
from parlor.wiring.identity import wire_accounts, wire_identity, wire_users
from parlor.wiring.mail import wire_mail
from parlor.wiring.metrics import wire_metrics
from parlor.wiring.modes import Mode, Role
from parlor.wiring.parties import wire_parties
from parlor.wiring.servers import wire_cache_and_feed, wire_database
from parlor.wiring.traces import traced_caller, traced_generator, wire_traces

THREADS = 32

# Every context's view of the one unit of work.
WORKS = (
    IdentityWork,
    RoleWork,
    TaskWork,
    ScheduleWork,
    TicketWork,
    ApiKeyWork,
    KeyedWork,
    PartyWork,
    ChatWork,
)

# Which contexts answer, in the same transaction, to another's facts: one line each.
REACTIONS: Reactions = {
    UserDeleted: [forget_user],
}

# What each context does when a user has left: one line each, in this order.
FAREWELLS: Sequence[Callable[..., Farewell]] = [
    ForgetClients,
    LeaveEveryParty,
    LeaveAllGroups,
    LeaveTasks,
]


class Container(Assembly):
    """Everything that a process is made of, between `start` and `close`."""

    def __init__(
        self, settings: Settings, *, mode: Mode, role: Role = Role.API, handlers: Sequence[AnyHandler] = ()
    ) -> None:
        super().__init__()
        self.settings = settings
        self.mode = mode
        self.role = role
        self._more_handlers = handlers
        self._wire()

    def _wire(self) -> None:
        wire_traces(self, self.settings, self.role)
        self.add(Clock, system_clock)
        database = wire_database(self, self.settings, self.role)
        wire_cache_and_feed(self, self.settings, self.mode)
        changes = wire_users(self, database, self.mode)
        wire_identity(self, self.settings)
        wire_mail(self, self.settings, self.mode)
        hints = FeedHints(self.get(Feed))
        reactions = self._reactions
        for work in WORKS:
            self.add(UnitOfWork[work], lambda: SqlWork(database, changes, hints, reactions))  # type: ignore[valid-type]  # Punq's key, not an annotation
        wire_accounts(self, database)
        self.add(Outboxes, SqlOutboxes(database))
        wire_parties(self, database)
        wire_chats(self, database, hints, publish_messages=self.settings.publish_messages)
        self._wire_tasks(database, changes, hints, self._wire_kinds())
        wire_bus(self, self.settings, self.mode, self.role)
        wire_metrics(self, database)

    @property
    def _reactions(self) -> Reactions:
        return {**REACTIONS, **chat_reactions(publish_messages=self.settings.publish_messages)}

    def _wire_tasks(self, database: Database, changes: UserChanges, hints: FeedHints, kinds: Kinds) -> None:
        runs = SqlRuns(
            database,
            lease_s=self.settings.lease_s,
            changes=changes,
            hints=hints,
            reactions=self._reactions,
            limits=kinds.limits,
        )
        sights = SqlTaskSights(database)
        self.add(Runs, runs)
        self.add(Upkeep, SqlUpkeep(database, hints, kinds.limits))
        self.add(Ends, FeedEnds(self.get(Feed)))
        self.add(TaskViews, SqlTaskViews(database))
        self.add(LetterViews, SqlLetterViews(database))
        self.add(OperationsViews, SqlOperationsViews(database))
        self.add(TaskSights, sights)
        self.add(Moves, FeedMoves(self.get(Feed), sights))
        self.add(ScheduleViews, SqlScheduleViews(database))
        self.add(CronLines, CronsimLines())

    def _wire_kinds(self) -> Kinds:
        handlers = self._handlers()
        try:
            kinds = Kinds.of(handlers, PydanticPayloads(handlers), self.settings.kind_limits)
        except ValueError as error:
            raise BadSettings(f"PARLOR_KIND_LIMITS: {error}") from error
        admit = AdmitForeign(kinds, producers_of(self.settings), self.get(UnitOfWork[ScheduleWork]))
        self.add(Kinds, kinds)
        self.add(Permissions, Permissions(OURS | permissions_of(handlers)))
        self.add(AdmitForeign, admit)
        self.add(RunAttempt, RunAttempt(kinds, DaemonThreads(THREADS), random.SystemRandom().random))
        return kinds

    def _handlers(self) -> list[AnyHandler]:
        url = self.settings.generator_url
        return [
            *handlers_of(self.settings, self._generator(url) if url else None, self.tracer),
            *self._internal_handlers(),
            *self._more_handlers,
        ]

    def _internal_handlers(self) -> list[AnyHandler]:
        """What Parlor orders of itself, one line each."""
        return [
            ForgetUserHandler([self.build(farewell) for farewell in FAREWELLS]),
            SendMailHandler(
                self.get(UnitOfWork[IdentityWork]), self.get(Mail), system_clock, self.settings.public_base
            ),
        ]

    def _generator(self, url: str) -> CardGenerator:
        generator = HttpCardGenerator(url)
        self.opens(nothing, generator.aclose)
        return traced_generator(generator, url, self.tracer)


def handlers_of(
    settings: Settings, generator: CardGenerator | None = None, tracer: Tracer | None = None
) -> list[AnyHandler]:
    """Every kind of task, one line each."""
    caller = GuardedCaller(allow=AllowList.parse(",".join(settings.http_allow)))
    return [
        HttpRequestHandler(traced_caller(caller, tracer), system_clock),
        TruthOrDareHandler(DECK, secrets.choice, generator),
    ]


def kinds_of(settings: Settings) -> Kinds:
    """The registry by itself, to be described: it opens nothing."""
    handlers = handlers_of(settings)
    return Kinds.of(handlers, PydanticPayloads(handlers))


def permissions_of(handlers: Sequence[AnyHandler]) -> frozenset[str]:
    """What kinds of tasks ask for beside `tasks:create`."""
    return frozenset(handler.permission for handler in handlers if handler.permission is not None)


def producers_of(settings: Settings) -> Producers:
    """What the broker's users may ask for."""
    listed = settings.producer_kinds
    return Producers(None if listed is None else frozenset(listed), trusted=settings.trust_producers)


def make_container(
    settings: Settings,
    *,
    mode: Mode = Mode.SERVICES,
    role: Role = Role.API,
    handlers: Sequence[AnyHandler] = (),
) -> Container:
    """Wire a process; raises BadSettings where a setting is missing, before anything is opened.

    `handlers` adds kinds of tasks to the ones that Parlor has, for a program that uses it as a library.
    """
    if mode is Mode.SERVICES:
        settings.need_services()
    return Container(settings, mode=mode, role=role, handlers=handlers)
