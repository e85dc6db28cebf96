"""One use case done to many, a few at a time, and told in a sentence."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from parlor.core.shared.actor import Actor
from parlor.core.shared.errors import ParlorError, Unavailable

MOST_AT_ONCE = 1_000
SIDE_BY_SIDE = 4  # of the pool's connections, which everybody shares


@dataclass(slots=True)
class Swept:
    """What became of them: how many were done, how many were refused and why, how many were not tried."""

    done: int = 0
    refused: Counter[str] = field(default_factory=Counter[str])
    untried: int = 0


@dataclass(frozen=True, slots=True)
class Deed:
    """A use case over one thing, with its words: `Retried`, `task`."""

    verb: str
    noun: str
    use_case: Callable[[Actor, Any], Awaitable[object]]

    async def sweep(self, actor: Actor, ids: Sequence[UUID]) -> Swept:
        """Do it to each; once a part is away nothing more is tried. Never raises a ParlorError."""
        swept, left = Swept(), list(reversed(ids))
        async with asyncio.TaskGroup() as group:
            for _ in range(SIDE_BY_SIDE):
                group.create_task(self._take_turns(actor, left, swept))
        return swept

    def told(self, swept: Swept, *, more: bool) -> str:
        """Say how it went; `more`: others match that were left for another time."""
        said = [f"{self.verb} {_many(swept.done, self.noun)}."] if swept.done or not swept.refused else []
        said += [_refused(count, detail) for detail, count in swept.refused.most_common()]
        if swept.untried:
            said.append(f"Not tried: {_many(swept.untried, self.noun)}.")
        if more:
            said.append(f"More match: {MOST_AT_ONCE:,} are taken at once. Do it again for the next.")
        return " ".join(said)

    async def _take_turns(self, actor: Actor, left: list[UUID], swept: Swept) -> None:
        while left:
            try:
                await self.use_case(actor, left.pop())
                swept.done += 1
            except ParlorError as error:
                swept.refused[error.detail] += 1
                if isinstance(error, Unavailable):
                    swept.untried += len(left)
                    left.clear()


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun if count == 1 else f'{noun}s'}"


def _refused(count: int, detail: str) -> str:
    return f"Refused: {detail}" if count == 1 else f"{count:,} were refused: {detail}"
