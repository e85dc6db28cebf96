"""What an export holds of what one did among others."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.chat_house import House, a_house

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="house")
async def one_house(postgres_url: str, template: str) -> AsyncIterator[House]:
    async with a_house(postgres_url, template) as house:
        yield house


async def test_an_export_holds_what_one_reacted_to_deleted_and_sent(house: House) -> None:
    ada, bob = await house.people(2)
    chat = await ada.opens(bob)
    said = [await bob.says(chat, text) for text in ("one", "two", "three")]
    mine = await ada.says(chat, "mine")
    await ada.asks("DELETE", f"{chat}/messages/{mine['id']}")
    for message, emoji in ((said[0], "b"), (said[0], "a"), (said[2], "c")):
        await ada.asks("PUT", f"{chat}/messages/{message['id']}/reactions/{emoji}")
    await bob.asks("PUT", f"{chat}/messages/{said[1]['id']}/reactions/d")
    party = (await ada.client.post("/api/v1/parties", json={"name": "Dragons"})).json()
    invited = await ada.client.post(
        f"/api/v1/parties/{party['id']}/invitations", json={"user_id": str(bob.id)}
    )
    held, others = [(await one.client.get("/api/v1/users/me/export")).json() for one in (ada, bob)]
    (tombstone,) = held["messages"]
    assert (tombstone["id"], tombstone["text"]) == (mine["id"], None)
    assert held["reactions"] == [
        {"chat_id": chat[1:], "message_id": message["id"], "emojis": emojis}
        for message, emojis in ((said[0], ["a", "b"]), (said[2], ["c"]))
    ]
    (sent,) = held["sent_invitations"]
    assert (sent["id"], sent["guest_id"]) == (invited.json()["id"], str(bob.id))
    assert (held["invitations"], others["sent_invitations"]) == ([], [])
    assert [one["id"] for one in others["invitations"]] == [sent["id"]]
    assert [one["emojis"] for one in others["reactions"]] == [["d"]]
