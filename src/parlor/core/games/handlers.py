"""The kind `truth_or_dare`: draw a card."""

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, cast
from uuid import UUID

from parlor.core.games.deck import Deck
from parlor.core.games.events import CardDrawn
from parlor.core.games.model import SIDES, Card, Mode, Rating, Side
from parlor.core.games.ports import CardGenerator, Choose, GameWork, GeneratorAway
from parlor.core.shared.handling import Context, Fail
from parlor.core.shared.ids import MessageId, PartyId, uuid7
from parlor.core.shared.rules import Pattern


@dataclass(frozen=True, slots=True)
class DrawCard:
    """Which card: the side, or any; the language; who is listening; and the party in whose chat it is to stand."""

    mode: Mode = "any"
    language: Annotated[str, Pattern("[a-z]{2}")] = "en"
    rating: Rating = "family"
    party_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class TruthOrDareHandler:
    """Whoever may enqueue tasks draws a card: a new one where there is a generator, else one of the deck.

    For a party it is drawn by a member, and posted into the party's chat in the transaction that ends the task.
    """

    kind: ClassVar[str] = "truth_or_dare"
    permission: ClassVar[str | None] = None

    deck: Deck
    choose: Choose
    generator: CardGenerator | None = None

    async def __call__(self, payload: DrawCard, context: Context) -> Card:
        await context.progress(0, 2, "shuffling")
        side = self.choose(SIDES) if payload.mode == "any" else payload.mode
        await context.progress(1, 2, "drawing")
        card = await self._generated(side, payload, context) or self._from_deck(side, payload)
        await context.progress(2, 2, "drawn")
        return (
            card if payload.party_id is None else await self._posted(card, PartyId(payload.party_id), context)
        )

    async def _posted(self, card: Card, party_id: PartyId, context: Context) -> Card:
        work = cast("GameWork", await context.work())
        user_id = context.requester.user_id
        if user_id is None or not await work.seats.is_member(party_id, user_id):
            raise Fail("not_a_member", "Whoever draws a card for a party is a member of it.")
        message_id = MessageId(uuid7())
        work.publish(CardDrawn(party_id, user_id, message_id, card.mode, card.text))
        return replace(card, message_id=str(message_id))

    async def _generated(self, side: Side, payload: DrawCard, context: Context) -> Card | None:
        if self.generator is None:
            return None
        try:
            text = await self.generator.draw(side, language=payload.language, rating=payload.rating)
        except GeneratorAway as error:
            context.log.warning("generator_away", reason=str(error))
            return None
        return Card(
            mode=side, text=text, language=payload.language, rating=payload.rating, source="generator"
        )

    def _from_deck(self, side: Side, payload: DrawCard) -> Card:
        prompts = self.deck.matching(side, language=payload.language, rating=payload.rating)
        if not prompts:
            raise Fail("unknown_language", f"The deck has cards in: {', '.join(self.deck.languages)}.")
        prompt = self.choose(prompts)
        return Card(
            mode=prompt.side,
            text=prompt.text,
            language=prompt.language,
            rating=prompt.rating,
            source="deck",
            prompt_id=prompt.id,
        )
