"""What games need from the world."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from parlor.core.games.model import Rating, Side
from parlor.core.shared.ids import PartyId, UserId
from parlor.core.shared.work import Work

T = TypeVar("T")


class GeneratorAway(Exception):
    """No usable card came in time."""


class CardGenerator(Protocol):
    """Writes new cards."""

    async def draw(self, side: Side, *, language: str, rating: Rating) -> str:
        """Answer a text of 1 to 500 characters within 3 s. Raises GeneratorAway, whatever is wrong."""
        ...


class Choose(Protocol):
    """Chance: takes one of several, each as likely as the others."""

    def __call__(self, options: Sequence[T], /) -> T: ...


class Seats(Protocol):
    """Who is a member of which party."""

    async def is_member(self, party_id: PartyId, user_id: UserId) -> bool:
        """Tell whether they are right now; their seat cannot be taken from them until the transaction ends."""
        ...


class GameWork(Work, Protocol):
    """A transaction of this context."""

    @property
    def seats(self) -> Seats: ...
