"""The time, as a port: what a test needs to fix."""

from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """The present moment, in UTC with its zone."""

    def __call__(self) -> datetime: ...


def system_clock() -> datetime:
    """Tell the time of this machine, in UTC."""
    return datetime.now(UTC)
