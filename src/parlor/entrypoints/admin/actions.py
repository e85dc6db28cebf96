"""What may be done about rows: each change is a use case's, done as the admin who asks for it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from parlor.core.identity.model import Client
from parlor.core.identity.use_cases import Principal
from parlor.core.shared.actor import Actor
from parlor.core.shared.errors import Invalid, ParlorError

MOST_AT_ONCE = 100
MOST_TOLD = 3


@dataclass(frozen=True, slots=True)
class Doer:
    """Who does it, from where, and what they chose."""

    principal: Principal
    client: Client
    chosen: str = ""

    @property
    def actor(self) -> Actor:
        """Answer the actor that use cases ask for."""
        return self.principal.actor


Do = Callable[[Doer, Any], Awaitable[object]]


def always(row: object) -> bool:
    """Offer it for every row."""
    del row
    return True


@dataclass(frozen=True, slots=True)
class Action:
    """One button. With a `question` it is asked first, and with `choose` what about; `fits` says which rows it is for.

    `done` completes a sentence: "… was disabled".
    """

    name: str
    label: str
    done: str
    permission: str
    do: Do
    question: str = ""
    choose: str = ""
    danger: bool = False
    fits: Callable[[Any], bool] = always


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of it: the rows it was done to, and the others with the reason."""

    done: Sequence[Any]
    refused: Sequence[tuple[Any, str]]

    def sentences(self, action: Action, plural: str) -> tuple[str, list[str]]:
        """Say in words what was done, and what was not; empty where there is nothing to say."""
        told = [f"{row} was not {action.done}. {reason}" for row, reason in self.refused[:MOST_TOLD]]
        if len(self.refused) > MOST_TOLD:
            told.append(f"{len(self.refused) - MOST_TOLD} more were not {action.done}.")
        if not self.done:
            return "", told
        if len(self.done) == 1:
            return f"{self.done[0]} was {action.done}.", told
        return f"{len(self.done)} {plural.lower()} were {action.done}.", told


async def done_to(action: Action, doer: Doer, rows: Sequence[Any]) -> Outcome:
    """Do it to one after the other: one that is refused keeps none of the others back."""
    done: list[Any] = []
    refused: list[tuple[Any, str]] = []
    for row in rows:
        try:
            await action.do(doer, row)
        except ParlorError as error:
            refused.append((row, in_words(error)))
        else:
            done.append(row)
    return Outcome(done, refused)


def in_words(error: ParlorError) -> str:
    """Say what a problem says, with what is wrong in particular."""
    flaws = [flaw.detail for flaw in error.flaws] if isinstance(error, Invalid) else []
    return " ".join(flaws or [error.detail])
