"""How much is measured: in full, or only enough to see that all of it runs."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plan:
    """Rounds alternate between ours and the floor; what is told is the median over them."""

    name: str
    rounds: int
    http_s: float
    warm_s: float
    connections: int
    seeded: int
    logins: int
    storm_s: float
    refreshes: int
    tasks: int
    race_tasks: int
    low_rate: int
    low_s: float
    peers: bool
    ended: tuple[int, ...]
    grown_tasks: int
    written: int
    joins: int
    crowds: tuple[tuple[int, float], ...]
    """How many sockets, and how many messages a second reach all of them."""
    heard_s: float
    social_rows: tuple[int, ...]
    social_writes: int
    social_reads: int
    memory_steps: int
    memory_step: int


FULL = Plan(
    "full",
    rounds=3,
    http_s=1.2,
    warm_s=0.3,
    connections=16,
    seeded=1_000,
    logins=12,
    storm_s=3.0,
    refreshes=500,
    tasks=5_000,
    race_tasks=4_000,
    low_rate=50,
    low_s=3.0,
    peers=True,
    ended=(10_000, 1_000_000),
    grown_tasks=4_000,
    written=20_000,
    joins=400,
    crowds=((50, 50.0), (500, 10.0)),
    heard_s=4.0,
    social_rows=(10_000, 100_000, 1_000_000),
    social_writes=800,
    social_reads=400,
    memory_steps=10,
    memory_step=20_000,
)
QUICK = Plan(
    "quick",
    rounds=1,
    http_s=0.3,
    warm_s=0.1,
    connections=4,
    seeded=60,
    logins=4,
    storm_s=0.5,
    refreshes=10,
    tasks=300,
    race_tasks=300,
    low_rate=50,
    low_s=0.5,
    peers=False,
    ended=(100, 1_000),
    grown_tasks=100,
    written=2_000,
    joins=20,
    crowds=((5, 50.0), (10, 20.0)),
    heard_s=0.3,
    social_rows=(400, 2_000),
    social_writes=40,
    social_reads=40,
    memory_steps=2,
    memory_step=300,
)
