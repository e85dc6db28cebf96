"""The deck: every prompt that Parlor ships, by language, side and rating."""

from collections.abc import Sequence
from dataclasses import dataclass

from parlor.core.games.deck_de import GERMAN
from parlor.core.games.deck_en import ENGLISH
from parlor.core.games.model import RATINGS, SIDES, Prompt, Rating, Side

_SIDES: dict[str, Side] = {side[0]: side for side in SIDES}
_RATINGS: dict[str, Rating] = {rating[0]: rating for rating in RATINGS}


@dataclass(frozen=True, slots=True)
class Deck:
    """Prompts to draw from."""

    prompts: tuple[Prompt, ...]

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages that it has cards in, in order of the alphabet."""
        return tuple(sorted({prompt.language for prompt in self.prompts}))

    def matching(self, side: Side, *, language: str, rating: Rating) -> Sequence[Prompt]:
        """Answer the prompts that fit; none where the deck lacks the language."""
        wanted = (side, language, rating)
        return [prompt for prompt in self.prompts if (prompt.side, prompt.language, prompt.rating) == wanted]


def printed(prompt_id: str, text: str) -> Prompt:
    """Read a prompt from its id: language, side, rating and number, as in `en-t-f-01`."""
    language, side, rating, _ = prompt_id.split("-")
    return Prompt(id=prompt_id, side=_SIDES[side], rating=_RATINGS[rating], language=language, text=text)


DECK = Deck(prompts=tuple(printed(prompt_id, text) for prompt_id, text in (*ENGLISH, *GERMAN)))
