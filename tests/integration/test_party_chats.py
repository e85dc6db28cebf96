"""Parties with their chats, over HTTP on a real database: what happens to the one has happened to the other."""

from collections.abc import AsyncIterator
from typing import Any, cast
from uuid import UUID

import pytest
import pytest_asyncio

from parlor.core.games.deck import DECK
from parlor.core.games.handlers import DrawCard, TruthOrDareHandler
from parlor.core.games.model import Card
from parlor.core.games.ports import GameWork
from parlor.core.shared.handling import Fail
from parlor.core.shared.ids import PartyId, UserId, uuid7
from parlor.core.shared.work import UnitOfWork
from parlor.core.tasks.ports import TaskWork
from tests.builders import an_actor
from tests.chat_house import House, Person, a_house
from tests.fakes.handling import FakeContext

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="house")
async def one_house(postgres_url: str, template: str) -> AsyncIterator[House]:
    async with a_house(postgres_url, template) as house:
        yield house


async def asked(person: Person, method: str, path: str, body: object = None) -> Any:
    answer = await person.client.request(method, f"/api/v1{path}", json=body)
    assert answer.status_code < 300, answer.text
    return answer.json() if answer.content else None


async def drawn(house: House, person: Person, party_id: UUID) -> Card:
    """Have a card drawn, as a worker does: in the transaction that would end the task."""
    handler = TruthOrDareHandler(DECK, lambda options: options[0])
    async with house.container.get(UnitOfWork[TaskWork])() as work:
        context = FakeContext(requester=an_actor(user_id=person.id), opened=work)
        return await handler(DrawCard(party_id=party_id), context)


async def test_a_party_has_a_chat_that_follows_it(house: House) -> None:
    ada, bob, eve = await house.people(3)
    party = await asked(ada, "POST", "/parties", {"name": "Fans"})
    place, chat = f"/parties/{party['id']}", f"/{party['chat_id']}"
    assert (await ada.gets(chat))["title"] == "Fans"
    for guest in (bob, eve):
        await asked(guest, "POST", f"{place}/join")
    await bob.says(chat)
    assert (await eve.gets(chat))["unread_count"] == 1
    await asked(ada, "PATCH", place, {"name": "Friends"})
    await asked(ada, "DELETE", f"{place}/members/{eve.id}")
    assert (await eve.asks("GET", chat)).status_code == 404
    shown = await bob.gets(chat)
    assert (shown["title"], shown["member_count"], shown["kind"]) == ("Friends", 2, "party")
    await asked(ada, "POST", f"{place}/leave")
    roles = {one["user_id"]: one["role"] for one in (await bob.gets(f"{chat}/members"))["items"]}
    assert roles == {str(bob.id): "owner"}
    await asked(bob, "DELETE", place)
    assert (await bob.asks("GET", chat)).status_code == 404


async def test_a_card_that_a_member_draws_stands_in_the_chat(house: House) -> None:
    ada, bob = await house.people(2)
    party = await asked(ada, "POST", "/parties", {"name": "Fans"})
    card = await drawn(house, ada, UUID(party["id"]))
    message = await ada.gets(f"/{party['chat_id']}/messages/{card.message_id}")
    assert (message["text"], message["kind"], message["author_id"]) == (card.text, "system", None)
    for who, where in ((bob, UUID(party["id"])), (ada, uuid7())):
        with pytest.raises(Fail) as told:
            await drawn(house, who, where)
        assert told.value.code == "not_a_member"
    assert (await ada.gets(f"/{party['chat_id']}"))["last_seq"] == 1


async def test_a_seat_that_counts_cannot_be_taken_away_meanwhile(house: House) -> None:
    ada, bob = await house.people(2)
    party = await asked(ada, "POST", "/parties", {"name": "Fans"})
    await asked(bob, "POST", f"/parties/{party['id']}/join")
    async with house.container.get(UnitOfWork[TaskWork])() as work:
        seats = cast("GameWork", work).seats
        party_id = PartyId(UUID(party["id"]))
        assert await seats.is_member(party_id, UserId(bob.id))
        held = await house.sql.value(
            "select count(*) from (select from party_members where user_id = $1 for update skip locked) free",
            bob.id,
        )
        assert held == 0
