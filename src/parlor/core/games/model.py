"""Truth or dare: prompts, and the cards that are drawn."""

from dataclasses import dataclass
from typing import Literal

Side = Literal["truth", "dare"]
Mode = Literal["truth", "dare", "any"]
Rating = Literal["family", "teen", "adult"]
Source = Literal["deck", "generator"]

SIDES: tuple[Side, ...] = ("truth", "dare")
RATINGS: tuple[Rating, ...] = ("family", "teen", "adult")


@dataclass(frozen=True, slots=True)
class Prompt:
    """One card of a deck. Its id never gets another text."""

    id: str
    side: Side
    rating: Rating
    language: str
    text: str


@dataclass(frozen=True, slots=True)
class Card:
    """What was drawn. A generated one has no `prompt_id`, one that was posted nowhere no `message_id`."""

    mode: Side
    text: str
    language: str
    rating: Rating
    source: Source
    prompt_id: str | None = None
    message_id: str | None = None
