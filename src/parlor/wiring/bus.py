"""The message bus: RabbitMQ, or in process over the same outboxes."""

from functools import partial

from parlor.adapters.health import nothing
from parlor.adapters.memory.bus import MemoryBus
from parlor.adapters.rabbitmq.connection import Link
from parlor.adapters.rabbitmq.consumer import RabbitInbox
from parlor.adapters.rabbitmq.depths import DepthsOnDemand
from parlor.adapters.rabbitmq.letters import DeadLetterIntake
from parlor.adapters.rabbitmq.outlet import Outlet
from parlor.adapters.rabbitmq.publisher import RabbitBus
from parlor.adapters.reachable import Reachable
from parlor.config import BadSettings, Settings
from parlor.core.shared.bus import Inbox, MessageBus, QueueDepths
from parlor.core.tasks.letters import KeepDeadLetter
from parlor.core.tasks.model import Priority
from parlor.core.tasks.ports import LetterSource
from parlor.wiring.assembly import Assembly
from parlor.wiring.metrics import show_depths
from parlor.wiring.modes import Mode, Role
from parlor.wiring.traces import traced_bus


def wire_bus(parts: Assembly, settings: Settings, mode: Mode, role: Role) -> None:
    """Choose the bus; an API process only looks whether the broker is there."""
    if mode is Mode.EMBEDDED:
        _wire_memory(parts, settings)
    elif settings.rabbitmq is None:
        raise BadSettings("set RABBITMQ_URL first")
    elif role is Role.API:
        parts.checks("rabbitmq", Reachable(settings.rabbitmq), needed=False)
        depths = DepthsOnDemand(Link(settings.rabbitmq, settings.namespace, name=f"parlor {role}"))
        parts.opens(nothing, depths.close)
        parts.add(QueueDepths, depths)
    else:
        _wire_rabbitmq(parts, settings, settings.rabbitmq, role)


def _wire_memory(parts: Assembly, settings: Settings) -> None:
    shares: dict[str, int] = dict(zip(Priority, settings.prefetch, strict=True))
    bus = MemoryBus(shares, keep=parts.build(KeepDeadLetter))
    parts.add(MessageBus, traced_bus(parts, settings, Mode.EMBEDDED, bus))
    parts.add(Inbox, bus)
    parts.add(QueueDepths, bus)
    parts.checks("rabbitmq", nothing, needed=False)
    show_depths(parts.meters, bus.depths)


def _wire_rabbitmq(parts: Assembly, settings: Settings, url: str, role: Role) -> None:
    link = Link(url, settings.namespace, name=f"parlor {role}")
    outlet = Outlet(link)
    bus = RabbitBus(outlet)
    parts.add(MessageBus, traced_bus(parts, settings, Mode.SERVICES, bus))
    for part in (link, outlet, bus):
        parts.opens(part.start, part.close)
    parts.checks("rabbitmq", bus.check, needed=True)
    show_depths(parts.meters, bus.depths)
    if role is Role.WORKER:
        _wire_consumer(parts, settings, Link(url, settings.namespace, name="parlor consumer"), outlet)


def _wire_consumer(parts: Assembly, settings: Settings, link: Link, outlet: Outlet) -> None:
    """Consume over a connection of its own: the broker may hold back one that publishes."""
    inbox = RabbitInbox(link, outlet, prefetch=settings.prefetch)
    parts.add(Inbox, inbox)
    parts.add(LetterSource, LetterSource(partial(DeadLetterIntake, link)))
    for part in (link, inbox):
        parts.opens(part.start, part.close)
    parts.checks("rabbitmq", inbox.check, needed=True)
