"""The worker process: consumer, relay and timers, each of which can be left out, and its own health page."""

import asyncio
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from datetime import timedelta
from typing import Protocol

import structlog
from fastapi import FastAPI

from parlor.config import Settings
from parlor.container import Container, make_container
from parlor.core.shared.bus import Inbox, MessageBus, Outboxes
from parlor.core.shared.feed import Feed
from parlor.core.shared.meters import Meters
from parlor.core.tasks.foreign import AdmitForeign
from parlor.core.tasks.kinds import Kinds
from parlor.core.tasks.ports import AnyHandler, LetterSource, Runs, Upkeep
from parlor.core.tasks.running import RunAttempt
from parlor.core.tasks.schedules_firing import FireSchedules
from parlor.entrypoints.consume_worker.attempts import Attempts
from parlor.entrypoints.consume_worker.letters import TakeLetter
from parlor.entrypoints.consume_worker.relay import Relay
from parlor.entrypoints.consume_worker.runner import Runner
from parlor.entrypoints.consume_worker.timers import Timers, in_traces
from parlor.entrypoints.garbage import spare_what_is_made
from parlor.entrypoints.http.errors import install_error_handlers
from parlor.entrypoints.http.health import health_routes
from parlor.entrypoints.http.metrics import metrics_routes
from parlor.entrypoints.http.middleware import Edge
from parlor.entrypoints.http.server import bind, make_server, serve_quietly
from parlor.wiring.modes import Mode, Role

log = structlog.get_logger()

WATCH_EVERY_S = 1.0


class Part(Protocol):
    """What runs in loops of its own, and says when one of them broke."""

    def start(self) -> None: ...
    def failed(self) -> BaseException | None: ...


def make_runner(container: Container) -> Runner:
    """Make the consumer's side."""
    settings = container.settings
    return Runner(
        inbox=container.get(Inbox),
        runs=container.get(Runs),
        admit=container.get(AdmitForeign),
        run_attempt=container.get(RunAttempt),
        feed=container.get(Feed),
        slots=sum(settings.prefetch),
        lease_s=settings.lease_s,
        limited=container.get(Kinds).limits.keys(),
        attempts=Attempts(container.tracer, f"{settings.namespace}.tasks", container.mode.broker),
        meters=container.get(Meters),
    )


def make_relay(container: Container) -> Relay:
    """Make the publisher's side."""
    return Relay(
        bus=container.get(MessageBus),
        outboxes=container.get(Outboxes),
        feed=container.get(Feed),
        meters=container.get(Meters),
    )


def make_timers(container: Container) -> Timers:
    """Make the clock's side."""
    settings = container.settings
    kept = settings.message_keep_days
    fire = container.build(FireSchedules)
    return Timers(
        upkeep=container.get(Upkeep),
        bus=container.get(MessageBus),
        fire=fire if container.tracer is None else in_traces(fire, container.tracer),
        keep=timedelta(days=settings.task_keep_days),
        keep_letters=timedelta(days=settings.dead_letter_keep_days),
        keep_sessions=timedelta(days=settings.session_keep_days),
        keep_logins=timedelta(days=settings.login_keep_days),
        keep_messages=None if kept is None else timedelta(days=kept),
        meters=container.get(Meters),
    )


@asynccontextmanager
async def running(
    container: Container, *, consume: bool, relay: bool, timers: bool
) -> AsyncIterator[Sequence[Part]]:
    """Run the parts that are asked for; at the end take no more, drain, and publish what that left."""
    runner = make_runner(container) if consume else None
    relaying = make_relay(container) if relay else None
    timing = make_timers(container) if timers else None
    parts: list[Part] = [part for part in (runner, relaying, timing) if part is not None]
    for part in parts:
        part.start()
    try:
        yield parts
    finally:
        if runner is not None:
            await runner.stop(container.settings.drain_s)
        if timing is not None:
            await timing.stop()
        if relaying is not None:
            await relaying.stop()


async def work(
    settings: Settings,
    *,
    consume: bool = True,
    relay: bool = True,
    timers: bool = True,
    handlers: Sequence[AnyHandler] = (),
) -> None:
    """Work until a signal comes, or a part breaks: then the process ends, and its supervisor starts a new one.

    `handlers` adds kinds of tasks to the ones that Parlor has.
    """
    role = Role.WORKER if consume else Role.RELAY
    container = make_container(settings, mode=Mode.SERVICES, role=role, handlers=handlers)
    stopping = told_to_stop()
    spare_what_is_made()
    async with _health_page(container):
        await container.start()
        try:
            async with (
                _letters(container) if consume else nullcontext(),
                running(container, consume=consume, relay=relay, timers=timers) as parts,
            ):
                log.info("worker_ready", consume=consume, relay=relay, timers=timers)
                await watch(parts, stopping)
        finally:
            await container.close()


@asynccontextmanager
async def _letters(container: Container) -> AsyncIterator[None]:
    """Take the dead letters into their table."""
    intake = container.get(LetterSource).into(container.command(TakeLetter))
    await intake.start()
    try:
        yield
    finally:
        await intake.close()


def told_to_stop() -> asyncio.Event:
    """Give an event that SIGTERM and SIGINT set."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    return stopping


async def watch(parts: Sequence[Part], stopping: asyncio.Event) -> None:
    """Wait for the signal; raises what broke a part."""
    while not stopping.is_set():
        for part in parts:
            broken = part.failed()
            if broken is not None:
                raise broken
        try:
            async with asyncio.timeout(WATCH_EVERY_S):
                await stopping.wait()
        except TimeoutError:
            continue


@asynccontextmanager
async def _health_page(container: Container) -> AsyncIterator[None]:
    settings = container.settings
    if settings.worker_port is None:
        yield
        return
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    for make_routes in (health_routes, metrics_routes):
        app.router.routes += make_routes(container).routes
    app.add_middleware(Edge, settings=settings, meters=container.get(Meters))
    install_error_handlers(app)
    server = make_server(app, settings)
    listener = bind("0.0.0.0", settings.worker_port)  # noqa: S104 - for probes from outside
    page = asyncio.create_task(serve_quietly(server, [listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await page
