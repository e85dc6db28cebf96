"""The kind `truth_or_dare`: which card is drawn, from where, and what ships in the deck."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar, get_type_hints

import pytest

from parlor.core.games.deck import DECK, Deck, printed
from parlor.core.games.handlers import DrawCard, TruthOrDareHandler
from parlor.core.games.model import RATINGS, SIDES, Card, Mode, Rating, Side
from parlor.core.games.ports import CardGenerator, Choose, GeneratorAway
from parlor.core.shared.actor import SYSTEM, Actor
from parlor.core.shared.handling import Fail, Handler
from parlor.core.shared.ids import PartyId, UserId, uuid7
from parlor.core.shared.rules import Pattern
from tests.builders import an_actor
from tests.fakes.handling import FakeContext
from tests.fakes.work import FakeDatabase

T = TypeVar("T")


def first(options: Sequence[T], /) -> T:
    return options[0]


def last(options: Sequence[T], /) -> T:
    return options[-1]


@dataclass(slots=True)
class FakeGenerator:
    """Writes the same card every time, or none."""

    text: str | None = "Sing."
    asked: list[tuple[Side, str, Rating]] = field(default_factory=list)

    async def draw(self, side: Side, *, language: str, rating: Rating) -> str:
        self.asked.append((side, language, rating))
        if self.text is None:
            raise GeneratorAway("it is away")
        return self.text


def a_handler(
    deck: Deck = DECK, choose: Choose = first, generator: CardGenerator | None = None
) -> TruthOrDareHandler:
    return TruthOrDareHandler(deck=deck, choose=choose, generator=generator)


async def drawn(
    handler: TruthOrDareHandler, mode: Mode = "any", language: str = "en", rating: Rating = "family"
) -> Card:
    return await handler(DrawCard(mode=mode, language=language, rating=rating), FakeContext())


def test_it_is_a_handler_that_needs_no_permission_of_its_own() -> None:
    handler: Handler[DrawCard, Card] = a_handler()
    assert handler.kind == "truth_or_dare"
    assert handler.permission is None


def test_a_card_is_any_english_one_for_the_family_unless_asked_otherwise() -> None:
    assert DrawCard() == DrawCard(mode="any", language="en", rating="family")


def test_a_language_is_two_lower_case_letters() -> None:
    hints = get_type_hints(DrawCard, include_extras=True)
    assert hints["language"].__metadata__ == (Pattern("[a-z]{2}"),)


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize("rating", RATINGS)
@pytest.mark.parametrize("side", SIDES)
async def test_a_card_is_what_was_asked_for(side: Side, rating: Rating, language: str) -> None:
    card = await drawn(a_handler(), mode=side, language=language, rating=rating)
    assert (card.mode, card.rating, card.language, card.source) == (side, rating, language, "deck")


async def test_a_card_of_the_deck_names_its_prompt() -> None:
    prompt = printed("en-t-f-01", "What is up?")
    card = await drawn(a_handler(Deck(prompts=(prompt,))))
    assert (card.prompt_id, card.text, card.message_id) == ("en-t-f-01", "What is up?", None)


@pytest.mark.parametrize(("choose", "side"), [(first, "truth"), (last, "dare")])
async def test_any_is_decided_by_chance(choose: Choose, side: Side) -> None:
    assert (await drawn(a_handler(choose=choose), mode="any")).mode == side


async def test_which_card_is_decided_by_chance() -> None:
    one, other = await drawn(a_handler(choose=first), "dare"), await drawn(a_handler(choose=last), "dare")
    assert (one.prompt_id, other.prompt_id) == ("en-d-f-01", "en-d-f-25")


async def test_a_language_that_the_deck_lacks_fails_naming_those_that_it_has() -> None:
    with pytest.raises(Fail) as told:
        await drawn(a_handler(), language="fr")
    assert told.value.code == "unknown_language"
    assert told.value.message == "The deck has cards in: de, en."


async def test_a_generator_comes_before_the_deck() -> None:
    generator = FakeGenerator("Sing.")
    card = await drawn(a_handler(generator=generator), "dare", "fr", "teen")
    assert card == Card(mode="dare", text="Sing.", language="fr", rating="teen", source="generator")
    assert generator.asked == [("dare", "fr", "teen")]


async def test_the_side_is_decided_before_a_generator_is_asked() -> None:
    generator = FakeGenerator()
    card = await drawn(a_handler(choose=last, generator=generator), "any")
    assert (card.mode, generator.asked[0][0]) == ("dare", "dare")


async def test_when_the_generator_is_away_the_deck_takes_over_and_it_is_logged() -> None:
    context = FakeContext()
    card = await a_handler(generator=FakeGenerator(text=None))(DrawCard(), context)
    assert (card.source, card.prompt_id) == ("deck", "en-t-f-01")
    assert context.log.lines == [("warning", "generator_away", {"reason": "it is away"})]


async def test_without_a_generator_nothing_is_logged() -> None:
    context = FakeContext()
    await a_handler()(DrawCard(), context)
    assert context.log.lines == []


async def test_progress_is_shown_from_shuffling_to_drawn() -> None:
    context = FakeContext()
    await a_handler()(DrawCard(), context)
    assert context.shown == [(0, 2, "shuffling"), (1, 2, "drawing"), (2, 2, "drawn")]


async def test_a_card_for_a_party_is_told_with_the_message_that_it_becomes() -> None:
    """In the transaction that ends the task."""
    database, ada, party = FakeDatabase(), an_actor(), PartyId(uuid7())
    database.store.seats.taken.add((party, UserId(ada.id or uuid7())))
    async with database.work() as work:
        card = await a_handler()(DrawCard(party_id=party), FakeContext(requester=ada, opened=work))
    (fact,) = database.store.facts
    assert (fact.name, fact.subject) == ("games.card_drawn", party)
    assert fact.body == {
        "party_id": str(party),
        "user_id": str(ada.id),
        "message_id": card.message_id,
        "mode": card.mode,
        "text": card.text,
    }


@pytest.mark.parametrize("requester", [an_actor(), SYSTEM], ids=["stranger", "nobody"])
async def test_only_a_member_draws_a_card_for_a_party(requester: Actor) -> None:
    database = FakeDatabase()
    with pytest.raises(Fail) as told:
        async with database.work() as work:
            await a_handler()(DrawCard(party_id=uuid7()), FakeContext(requester=requester, opened=work))
    assert told.value.code == "not_a_member"
    assert database.store.facts == []


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(("rating", "least"), [("family", 25), ("teen", 25), ("adult", 15)])
def test_the_deck_has_enough_of_everything(side: Side, rating: Rating, language: str, least: int) -> None:
    assert len(DECK.matching(side, language=language, rating=rating)) >= least


def test_no_card_is_twice_in_the_deck() -> None:
    assert len({prompt.id for prompt in DECK.prompts}) == len(DECK.prompts)
    assert len({prompt.text for prompt in DECK.prompts}) == len(DECK.prompts)


def test_every_id_says_language_side_rating_and_number() -> None:
    form = re.compile(r"(en|de)-[td]-[fta]-[0-9]{2}")
    assert [prompt.id for prompt in DECK.prompts if not form.fullmatch(prompt.id)] == []


def test_every_text_is_a_sentence_that_fits_a_card() -> None:
    odd = [each for each in DECK.prompts if not 10 <= len(each.text) <= 160 or each.text[-1] not in ".?"]
    assert odd == []
