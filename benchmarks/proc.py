"""What Linux tells in /proc of a process and all that it has started; zeros where the system does not tell."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")
PARENT, USER_TIME, SYSTEM_TIME, RESIDENT = 1, 11, 12, 21  # counted after the name, which may hold anything


def cpu_s(pid: int) -> float:
    """The processor time that a process and its descendants have used."""
    ticks = sum(int(stat[USER_TIME]) + int(stat[SYSTEM_TIME]) for stat in _family(pid))
    return ticks / os.sysconf("SC_CLK_TCK")


def resident_mib(pid: int) -> float:
    """The memory that they hold."""
    pages = sum(int(stat[RESIDENT]) for stat in _family(pid))
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _family(pid: int) -> list[list[str]]:
    stats = dict(_stats())
    members = {pid}
    while more := {each for each, stat in stats.items() if int(stat[PARENT]) in members} - members:
        members |= more
    return [stats[each] for each in members if each in stats]


def _stats() -> Iterator[tuple[int, list[str]]]:
    for file in PROC.glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended meanwhile
            yield int(file.parent.name), file.read_text().rpartition(")")[2].split()
