"""The meters: what the process shows beside what each part counts for itself, and the page that has it all."""

import platform
from collections.abc import Awaitable, Callable, Mapping
from importlib.metadata import version

from parlor.adapters.event_loop import EventLoopLag
from parlor.adapters.health import nothing
from parlor.adapters.prometheus import PrometheusPage
from parlor.adapters.sql.engine import Database
from parlor.adapters.sql.vitals import SqlVitals
from parlor.adapters.surveys import Surveys
from parlor.core.shared.caching import Looks
from parlor.core.shared.meters import ONE, Meters, MetersPage
from parlor.wiring.assembly import Assembly

Depths = Callable[[], Awaitable[Mapping[str, int]]]


def wire_metrics(parts: Assembly, database: Database) -> None:
    """Show what the process is and what it stands on; asks nobody before somebody reads the page."""
    meters = parts.meters
    surveys = Surveys(meters)
    SqlVitals(database, meters)
    for part in ("redis", "rabbitmq"):
        meters.asks(part, parts.check_of(part))
    built = (version("parlor"), platform.python_version())
    meters.level("parlor_build_info", "1, for what its labels say.", "version", "python").show({built: 1})
    lag = EventLoopLag(meters)
    parts.opens(lag.start, lag.close)
    parts.opens(nothing, surveys.close)
    parts.add(MetersPage, PrometheusPage(meters, surveys))


def show_cache(meters: Meters, cache: str, looks: Looks) -> None:
    """Show how often a cache had what was looked for."""
    tally = meters.tally(
        "parlor_cache_looks_total",
        "How often a cache had what was looked for: hit, or missed.",
        "cache",
        "outcome",
    )
    tally.reads(lambda: {(cache, "hit"): looks.hit, (cache, "missed"): looks.missed})


def show_feed(meters: Meters, hears: Callable[[], bool]) -> None:
    """Show whether hints of other processes come in."""
    level = meters.level(
        "parlor_feed_up", "Whether hints of other processes come in: 1, or 0 while Redis is away."
    )
    level.reads(lambda: {ONE: float(hears())})


def show_depths(meters: Meters, depths: Depths) -> None:
    """Show what waits in the broker's queues."""
    level = meters.level(
        "parlor_queue_ready_messages", "Messages in the broker's queues that no worker has taken.", "queue"
    )

    async def ask() -> None:
        level.show({(queue,): ready for queue, ready in (await depths()).items()})

    meters.asks("rabbitmq", ask, level)
