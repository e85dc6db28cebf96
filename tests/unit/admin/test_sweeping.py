"""One use case done to many: all are tried, each answer is counted, and the sentence says what happened."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from uuid import UUID, uuid4

from parlor.core.shared.actor import Actor
from parlor.core.shared.errors import Conflict, DatabaseAway
from parlor.entrypoints.admin.sweeping import SIDE_BY_SIDE, Deed, Swept
from tests.builders import an_actor

ADA = an_actor()


class Book:
    """A use case that refuses what it is told to, and remembers who did what."""

    def __init__(self, refusals: Mapping[UUID, Exception] | None = None) -> None:
        self.refusals = refusals or {}
        self.tried: list[UUID] = []
        self.at_once = 0
        self.most_at_once = 0

    async def __call__(self, actor: Actor, one: UUID) -> None:
        assert actor is ADA
        self.tried.append(one)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        if one in self.refusals:
            raise self.refusals[one]


async def swept(book: Book, *ids: UUID) -> Swept:
    return await Deed("Retried", "task", book).sweep(ADA, ids)


def told(outcome: Swept, *, more: bool = False) -> str:
    return Deed("Retried", "task", Book()).told(outcome, more=more)


async def test_each_is_tried_once_a_few_at_a_time() -> None:
    book, ids = Book(), [uuid4() for _ in range(50)]
    assert (await swept(book, *ids)).done == 50
    assert sorted(book.tried) == sorted(ids)
    assert book.most_at_once == SIDE_BY_SIDE


async def test_one_that_is_refused_keeps_none_of_the_others_back() -> None:
    ids = [uuid4() for _ in range(9)]
    outcome = await swept(Book({ids[0]: Conflict("Not now."), ids[4]: Conflict("Not now.")}), *ids)
    assert (outcome.done, outcome.refused, outcome.untried) == (7, Counter({"Not now.": 2}), 0)


async def test_nothing_more_is_tried_once_a_part_is_away() -> None:
    """Each further one would wait for it just as long."""
    ids = [uuid4() for _ in range(40)]
    book = Book(dict.fromkeys(ids, DatabaseAway()))
    outcome = await swept(book, *ids)
    assert len(book.tried) == outcome.refused.total() == SIDE_BY_SIDE
    assert outcome.untried == 40 - SIDE_BY_SIDE


def test_it_is_told_in_plain_words() -> None:
    assert told(Swept(done=1)) == "Retried 1 task."
    assert told(Swept()) == "Retried 0 tasks."
    assert told(Swept(done=1000), more=True) == (
        "Retried 1,000 tasks. More match: 1,000 are taken at once. Do it again for the next."
    )
    refused = Counter({"Its payload was dropped.": 2, "It has ended.": 1})
    assert told(Swept(done=0, refused=refused, untried=7)) == (
        "2 were refused: Its payload was dropped. Refused: It has ended. Not tried: 7 tasks."
    )
