"""Who takes part in the race: each has a worker process, a producer, and a place where its results are found."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks import apart
from benchmarks.stage import PYTHON
from benchmarks.yard import DEFAULT_QUEUE, FLOOR_QUEUE

APART = (apart.PYTHON, "-m")


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to have a task done. Results without a `table` are keys in Redis."""

    name: str
    worker: tuple[str, ...]
    producer: tuple[str, ...]
    queue: str
    table: str | None
    note: str = ""
    packages: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict[str, str], hash=False)


BY_HAND = "aio-pika and asyncpg by hand"
FLOOR = Contender(
    BY_HAND,
    worker=(*PYTHON, "benchmarks.floor_consumer", FLOOR_QUEUE),
    producer=(*PYTHON, "benchmarks.publish", "", FLOOR_QUEUE),
    queue=FLOOR_QUEUE,
    table="floor_results",
)
PARLOR = Contender(
    "Parlor",
    worker=(*PYTHON, "benchmarks.worker"),
    producer=(*PYTHON, "benchmarks.enqueue"),
    queue=DEFAULT_QUEUE,
    table="tasks",
    note="each order is a transaction, and the relay runs in the worker; default settings",
)
PARLOR_SHORT = replace(
    PARLOR,
    name="Parlor, set for short tasks",
    note="the same with `PARLOR_PREFETCH=64,250,8`",
    settings={"PARLOR_PREFETCH": "64,250,8"},
)
PARLOR_FOREIGN = Contender(
    "Parlor, foreign producer",
    worker=PARLOR.worker,
    producer=(*PYTHON, "benchmarks.publish", "parlor.tasks", "default"),
    queue=DEFAULT_QUEUE,
    table="tasks",
    note="messages published to its exchange as to the floor's queue; `PARLOR_PREFETCH=64,250,8`",
    settings=PARLOR_SHORT.settings,
)
OURS = (PARLOR, PARLOR_SHORT, PARLOR_FOREIGN)


def _script(name: str) -> str:
    return str(Path(apart.PYTHON).with_name(name))


PEERS = (
    Contender(
        "Celery",
        worker=(
            *(_script("celery"), "-A", "benchmarks.peers.with_celery", "worker", "--pool", "threads"),
            *("--concurrency", "8", "--loglevel", "WARNING"),
            *("--without-gossip", "--without-mingle", "--without-heartbeat"),
        ),
        producer=(*APART, "benchmarks.peers.with_celery"),
        queue="peer.celery",
        table=None,
        note="8 threads (faster here than a prefork child), prefetch 128, quorum queue, confirms, `acks_late`, "
        "results in Redis",
        packages=("celery", "kombu", "amqp"),
    ),
    Contender(
        "Dramatiq",
        worker=(_script("dramatiq"), "benchmarks.peers.with_dramatiq", "--processes", "1", "--threads", "8"),
        producer=(*APART, "benchmarks.peers.with_dramatiq"),
        queue="peer.dramatiq",
        table=None,
        note="8 threads and a prefetch of 16 (its defaults), durable classic queue (it has no other), confirms, "
        "results in Redis",
        packages=("dramatiq", "pika"),
    ),
    Contender(
        "Taskiq",
        worker=(
            *(_script("taskiq"), "worker", "benchmarks.peers.with_taskiq:broker", "--workers", "1"),
            *("--ack-type", "when_saved", "--log-level", "WARNING"),
        ),
        producer=(*APART, "benchmarks.peers.with_taskiq"),
        queue="peer.taskiq",
        table=None,
        note="100 tasks at once, prefetch 100, quorum queue, confirms, acknowledged when saved, uvloop, "
        "results in Redis",
        packages=("taskiq", "taskiq-aio-pika", "taskiq-redis"),
    ),
    Contender(
        "FastStream",
        worker=(_script("faststream"), "run", "benchmarks.peers.with_faststream:app"),
        producer=(*APART, "benchmarks.peers.with_faststream"),
        queue="peer.faststream",
        table="peer_results",
        note="prefetch 100, quorum queue, confirms, acknowledged after the handler, which stores a row by asyncpg, "
        "no log, nothing from its context, uvloop",
        packages=("faststream", "aio-pika"),
    ),
)


def dated(note: str, packages: Iterable[str], versions: dict[str, str]) -> str:
    """Put the versions before a note."""
    return ", ".join([*(f"{package} {versions[package]}" for package in packages), note])
