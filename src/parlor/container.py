"""Where every port meets its adapter. A mode is a choice of adapters here, and nowhere else."""

import random
import secrets
from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum
from functools import partial

from parlor.adapters.caching.principals import CachedPrincipals
from parlor.adapters.caching.users import TTL_S, CachedUserChanges, CachedUsers
from parlor.adapters.cron import CronsimLines
from parlor.adapters.health import nothing, step
from parlor.adapters.hints import FeedHints
from parlor.adapters.http.caller import GuardedCaller
from parlor.adapters.http.generator import HttpCardGenerator
from parlor.adapters.http.guard import AllowList
from parlor.adapters.memory.bus import MemoryBus
from parlor.adapters.memory.cache import MemoryCache
from parlor.adapters.memory.feed import MemoryFeed
from parlor.adapters.payloads import PydanticPayloads
from parlor.adapters.rabbitmq.connection import Link
from parlor.adapters.rabbitmq.consumer import RabbitInbox
from parlor.adapters.rabbitmq.letters import DeadLetterIntake
from parlor.adapters.rabbitmq.outlet import Outlet
from parlor.adapters.rabbitmq.publisher import RabbitBus
from parlor.adapters.reachable import Reachable
from parlor.adapters.redis.cache import RedisCache
from parlor.adapters.redis.client import RedisLink
from parlor.adapters.redis.feed import RedisFeed
from parlor.adapters.security.common_passwords import ShippedCommonPasswords
from parlor.adapters.security.passwords import BcryptHasher
from parlor.adapters.security.tokens import DerivedRefreshTokens, JwtAccessTokens, RememberedTokens
from parlor.adapters.sql.engine import Database
from parlor.adapters.sql.identity import SqlDirectory
from parlor.adapters.sql.letters import SqlLetterViews
from parlor.adapters.sql.outbox import SqlOutboxes
from parlor.adapters.sql.runs import SqlRuns
from parlor.adapters.sql.schedules import SqlScheduleViews
from parlor.adapters.sql.schema import Schema
from parlor.adapters.sql.sights import SqlTaskSights
from parlor.adapters.sql.upkeep import SqlUpkeep
from parlor.adapters.sql.views import SqlTaskViews
from parlor.adapters.sql.work import Reactions, SqlWork
from parlor.adapters.threads import DaemonThreads
from parlor.assembly import Assembly
from parlor.config import BadSettings, Settings
from parlor.core.games.deck import DECK
from parlor.core.games.handlers import TruthOrDareHandler
from parlor.core.games.ports import CardGenerator
from parlor.core.identity.hints import FeedUserHints, UserHints
from parlor.core.identity.ports import (
    AccessTokens,
    Directory,
    IdentityWork,
    PasswordHasher,
    Principals,
    RefreshTokens,
)
from parlor.core.identity.tickets import TicketWork
from parlor.core.identity.use_cases import GraceWindow, PasswordPolicy
from parlor.core.shared.bus import Inbox, MessageBus, Outboxes
from parlor.core.shared.caching import Cache
from parlor.core.shared.clock import Clock, system_clock
from parlor.core.shared.feed import Feed
from parlor.core.shared.work import UnitOfWork
from parlor.core.tasks.foreign import AdmitForeign, Producers
from parlor.core.tasks.http_request import HttpRequestHandler
from parlor.core.tasks.kinds import Kinds
from parlor.core.tasks.letters import KeepDeadLetter
from parlor.core.tasks.model import Priority
from parlor.core.tasks.ports import AnyHandler, LetterSource, LetterViews, Runs, TaskViews, TaskWork, Upkeep
from parlor.core.tasks.running import RunAttempt
from parlor.core.tasks.schedules_ports import CronLines, ScheduleViews, ScheduleWork
from parlor.core.tasks.waiting import Ends, FeedEnds
from parlor.core.tasks.watching import FeedMoves, Moves, TaskSights

AUDIENCE = "parlor"
EMBEDDED_TTL_S = 1.0
THREADS = 32

# Which contexts answer, in the same transaction, to another's facts: one line each.
REACTIONS: Reactions = {}


class Mode(StrEnum):
    """Which adapters stand behind cache, feed and bus."""

    EMBEDDED = "embedded"
    SERVICES = "services"


class Role(StrEnum):
    """What a process does with the bus: a worker runs what comes, a relay only sends, an API process only looks."""

    API = "api"
    RELAY = "relay"
    WORKER = "worker"


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
        add = self._register
        add(Clock, system_clock)
        database = self._wire_database()
        self._wire_memory() if self.mode is Mode.EMBEDDED else self._wire_redis()
        hints = FeedHints(self.get(Feed))
        # Embedded, the command line is another process that cannot reach this one's cache: it forgets sooner.
        ttl_s = EMBEDDED_TTL_S if self.mode is Mode.EMBEDDED else TTL_S
        directory = CachedUsers(SqlDirectory(database), self.get(Cache), ttl_s=ttl_s)
        principals = CachedPrincipals(directory, self.get(Feed))
        changes = CachedUserChanges(self.get(Cache), principals)
        add(Directory, directory)
        add(Principals, principals)
        add(UserHints, FeedUserHints(self.get(Feed)))
        add(Outboxes, SqlOutboxes(database))
        for work in (IdentityWork, TaskWork, ScheduleWork, TicketWork):
            add(UnitOfWork[work], lambda: SqlWork(database, changes, hints, REACTIONS))  # type: ignore[valid-type]  # Punq's key, not an annotation
        self._wire_identity()
        kinds = self._wire_kinds()
        runs = SqlRuns(
            database,
            lease_s=self.settings.lease_s,
            changes=changes,
            hints=hints,
            reactions=REACTIONS,
            limits=kinds.limits,
        )
        add(Runs, runs)
        add(Upkeep, SqlUpkeep(database, hints, kinds.limits))
        add(Ends, FeedEnds(self.get(Feed)))
        add(TaskViews, SqlTaskViews(database))
        add(LetterViews, SqlLetterViews(database))
        sights = SqlTaskSights(database)
        add(TaskSights, sights)
        add(Moves, FeedMoves(self.get(Feed), sights))
        add(ScheduleViews, SqlScheduleViews(database))
        add(CronLines, CronsimLines())
        self._wire_bus()

    def _wire_database(self) -> Database:
        settings = self.settings
        if settings.database is None:
            raise BadSettings("set DATABASE_URL first")
        database = Database(settings.database, size=settings.database_pool, name=f"parlor {self.role}")
        schema = Schema(settings.database)
        if settings.migrate_on_start:
            self._steps.append((schema.upgrade, nothing))
        self._steps.append((database.open, database.close))
        self._checks["database"] = (True, database.ping)
        self._checks["migrations"] = (True, lambda: schema.check(database))
        self._register(Schema, schema)
        self._register(Database, database)
        return database

    def _wire_memory(self) -> None:
        self._register(Cache, MemoryCache())
        self._register(Feed, MemoryFeed())
        self._checks["redis"] = (False, nothing)

    def _wire_redis(self) -> None:
        settings = self.settings
        if settings.redis is None:
            raise BadSettings("set REDIS_URL first")
        link = RedisLink(settings.redis)
        feed = RedisFeed(link, namespace=settings.namespace)
        cache = RedisCache(link, namespace=settings.namespace)
        self._register(Cache, cache)
        self._register(Feed, feed)
        self._steps += [(nothing, link.close), (nothing, cache.close), (feed.start, feed.close)]
        self._checks["redis"] = (False, link.ping)

    def _wire_identity(self) -> None:
        settings = self.settings
        hasher = BcryptHasher(cost=settings.bcrypt_cost)
        self._steps.append((nothing, step(hasher.close)))
        self._register(PasswordHasher, hasher)
        self._register(PasswordPolicy, PasswordPolicy(ShippedCommonPasswords()))
        tokens = JwtAccessTokens(
            settings.secrets,
            issuer=AUDIENCE,
            audience=AUDIENCE,
            clock=system_clock,
            ttl_s=settings.access_ttl_s,
        )
        self._register(AccessTokens, RememberedTokens(tokens, clock=system_clock))
        self._register(RefreshTokens, DerivedRefreshTokens(settings.secrets))
        self._register(GraceWindow, GraceWindow(timedelta(seconds=settings.refresh_grace_s)))

    def _wire_kinds(self) -> Kinds:
        handlers = self._handlers()
        try:
            kinds = Kinds.of(handlers, PydanticPayloads(handlers), self.settings.kind_limits)
        except ValueError as error:
            raise BadSettings(f"PARLOR_KIND_LIMITS: {error}") from error
        self._register(Kinds, kinds)
        admit = AdmitForeign(kinds, producers_of(self.settings), self.get(UnitOfWork[ScheduleWork]))
        self._register(AdmitForeign, admit)
        self._register(RunAttempt, RunAttempt(kinds, DaemonThreads(THREADS), random.SystemRandom().random))
        return kinds

    def _handlers(self) -> list[AnyHandler]:
        url = self.settings.generator_url
        return [
            *handlers_of(self.settings, self._generator(url) if url else None),
            *self._more_handlers,
        ]

    def _generator(self, url: str) -> HttpCardGenerator:
        generator = HttpCardGenerator(url)
        self._steps.append((nothing, generator.aclose))
        return generator

    def _wire_bus(self) -> None:
        if self.mode is Mode.EMBEDDED:
            shares: dict[str, int] = dict(zip(Priority, self.settings.prefetch, strict=True))
            bus = MemoryBus(shares, keep=self.build(KeepDeadLetter))
            self._register(MessageBus, bus)
            self._register(Inbox, bus)
            self._checks["rabbitmq"] = (False, nothing)
        elif self.settings.rabbitmq is None:
            raise BadSettings("set RABBITMQ_URL first")
        elif self.role is Role.API:
            self._checks["rabbitmq"] = (False, Reachable(self.settings.rabbitmq))
        else:
            self._wire_rabbitmq(self.settings.rabbitmq)

    def _wire_rabbitmq(self, url: str) -> None:
        settings = self.settings
        link = Link(url, settings.namespace, name=f"parlor {self.role}")
        outlet = Outlet(link)
        bus = RabbitBus(outlet)
        self._register(MessageBus, bus)
        self._steps += [(part.start, part.close) for part in (link, outlet, bus)]
        self._checks["rabbitmq"] = (True, bus.check)
        if self.role is Role.WORKER:
            self._wire_consumer(Link(url, settings.namespace, name="parlor consumer"), outlet)

    def _wire_consumer(self, link: Link, outlet: Outlet) -> None:
        """Consume over a connection of its own: the broker may hold back one that publishes."""
        inbox = RabbitInbox(link, outlet, prefetch=self.settings.prefetch)
        self._register(Inbox, inbox)
        self._register(LetterSource, LetterSource(partial(DeadLetterIntake, link)))
        self._steps += [(part.start, part.close) for part in (link, inbox)]
        self._checks["rabbitmq"] = (True, inbox.check)


def handlers_of(settings: Settings, generator: CardGenerator | None = None) -> list[AnyHandler]:
    """Every kind of task, one line each."""
    caller = GuardedCaller(allow=AllowList.parse(",".join(settings.http_allow)))
    return [
        HttpRequestHandler(caller, system_clock),
        TruthOrDareHandler(DECK, secrets.choice, generator),
    ]


def kinds_of(settings: Settings) -> Kinds:
    """The registry by itself, to be described: it opens nothing."""
    handlers = handlers_of(settings)
    return Kinds.of(handlers, PydanticPayloads(handlers))


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
