"""How the parts that a process stands on are doing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class Part:
    """One of them: whether it answers, whether this process needs it, and what is wrong, if anything."""

    status: Literal["up", "down"]
    needed: bool
    detail: str | None = None


class Health(Protocol):
    """Knows the state of every part."""

    async def parts(self) -> Mapping[str, Part]:
        """Ask each part now. Never raises: what does not answer is down."""
        ...
