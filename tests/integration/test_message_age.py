"""Messages that are kept so long and no longer: what becomes of everything that counts them."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio

from parlor.core.chats.following import Follow
from parlor.core.chats.frames import Frame
from parlor.core.shared.ids import ChatId, UserId
from tests.builders import an_actor
from tests.chat_house import House, Person, a_house
from tests.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEPT = timedelta(days=30)
# The id of a message that was written 40 days ago, in the same order as its place.
AGED = """
update messages
   set id = (lpad(to_hex((extract(epoch from clock_timestamp() - interval '40 days') * 1000)::bigint + seq), 12, '0')
            || substr(replace(id::text, '-', ''), 13))::uuid
 where chat_id = $1 and seq <= $2"""


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="house")
async def one_house(postgres_url: str, template: str) -> AsyncIterator[House]:
    async with a_house(postgres_url, template) as house:
        yield house


def id_of(chat: str) -> ChatId:
    return ChatId(UUID(chat[1:]))


async def age(house: House, chat: str, upto: int) -> None:
    await house.sql.execute(AGED, id_of(chat), upto)


async def forget(house: House) -> int:
    """Do what a worker does every five minutes; answers how many messages went."""
    deleted = 0
    while batch := await house.sql.upkeep.forget_messages(KEPT):
        deleted += batch
    return deleted


async def a_chat(house: House, *texts: str) -> tuple[Person, Person, str]:
    """Have somebody say these to somebody."""
    ada, bob = await house.people(2)
    chat = await ada.opens(bob)
    for text in texts:
        await ada.says(chat, text)
    return ada, bob, chat


async def test_a_chat_begins_where_its_messages_are_still_kept(house: House) -> None:
    """Places stay as they are, and go on; nothing of the old ones is read, found or reacted to any more."""
    ada, bob, chat = await a_chat(house, "lantern", "moor", "fog", "new")
    await age(house, chat, 3)
    old = (await bob.gets(f"{chat}/messages"))["items"][0]["id"]
    await bob.asks("PUT", f"{chat}/messages/{old}/reactions/x")
    assert await forget(house) == 3
    assert [one["seq"] for one in (await bob.gets(f"{chat}/messages"))["items"]] == [4]
    assert (await bob.gets(f"{chat}/messages", before=4))["items"] == []
    assert [one["seq"] for one in (await bob.gets(f"{chat}/messages", around=2))["items"]] == [4]
    assert (await bob.gets(f"{chat}/search", q="lantern"))["items"] == []
    assert (await bob.asks("GET", f"{chat}/messages/{old}")).status_code == 404
    assert (await bob.asks("PUT", f"{chat}/messages/{old}/reactions/y")).status_code == 404
    assert (await ada.says(chat, "newer"))["seq"] == 5


async def test_an_answer_outlives_what_it_answers(house: House) -> None:
    ada, bob, chat = await a_chat(house, "who?")
    await age(house, chat, 1)
    question = (await bob.gets(f"{chat}/messages"))["items"][0]["id"]
    await bob.says(chat, "I", reply_to=question)
    assert await forget(house) == 1
    (answer,) = (await ada.gets(f"{chat}/messages"))["items"]
    assert answer["reply_to"] == question
    again = await bob.asks("POST", f"{chat}/messages", {"text": "I", "reply_to": question})
    assert (again.status_code, again.json()["errors"][0]["code"]) == (422, "unknown_message")


async def test_unread_counts_only_what_can_be_read(house: House) -> None:
    ada, bob, chat = await a_chat(house, "1", "2", "3")
    await age(house, chat, 2)
    assert (await bob.gets(chat))["unread_count"] == 3
    await forget(house)
    assert (await bob.gets(chat))["unread_count"] == 1
    await age(house, chat, 3)
    await forget(house)
    assert (await bob.gets(chat))["unread_count"] == 0
    await ada.says(chat, "4")
    assert (await bob.gets(chat))["unread_count"] == 1


async def test_whoever_catches_up_from_before_is_told_where_the_chat_begins(house: House) -> None:
    """And whoever knows it is not told again."""
    _, bob, chat = await a_chat(house, "1", "2", "3")
    await age(house, chat, 2)
    await forget(house)
    caught_up = await bob.gets(f"{chat}/changes", since_rev=3)
    assert caught_up == {"items": [], "next_rev": None, "last_rev": 4, "first_seq": 3}
    assert (await bob.gets(f"{chat}/changes"))["first_seq"] == 3
    assert await bob.gets(f"{chat}/changes", since_rev=4) == {"items": [], "next_rev": None, "last_rev": 4}


@dataclass
class Ear:
    """Port Listener: keeps what it is told."""

    user_id: UserId
    frames: list[dict[str, Any]] = field(default_factory=list)

    def tell(self, frame: Frame) -> None:
        self.frames.append(json.loads(frame.json))

    def show(self, chat_id: ChatId, user_id: UserId, *, online: bool) -> None: ...

    async def ready(self) -> None: ...


async def test_followers_are_told_of_a_gap_then_and_later(house: House) -> None:
    """One who is there, and one who comes back with an older rev: both pull what is left, and go on."""
    ada, bob, chat = await a_chat(house, "1", "2", "3")
    follow, viewer = house.container.build(Follow), an_actor(user_id=bob.id)
    there, back = Ear(bob.id), Ear(bob.id)
    followings = [await follow(viewer, id_of(chat), None, there)]
    await age(house, chat, 3)
    await forget(house)
    gap = {"type": "gap", "chat_id": str(id_of(chat)), "from_rev": 4, "to_rev": 4}
    await eventually(lambda: gap in there.frames)
    followings.append(await follow(viewer, id_of(chat), 2, back))
    assert [frame["type"] for frame in back.frames] == ["subscribed", "gap", "caught_up"]
    assert back.frames[1:] == [gap, {"type": "caught_up", "chat_id": str(id_of(chat)), "rev": 4}]
    message = await ada.says(chat, "new")
    await eventually(lambda: [ear.frames[-1].get("message") for ear in (there, back)] == [message] * 2)
    for following in followings:
        following.stop()


async def test_what_is_young_stays(house: House) -> None:
    _, _, chat = await a_chat(house, "1", "2")
    assert await forget(house) == 0
    assert await house.sql.value("select last_rev from chat_heads where chat_id = $1", id_of(chat)) == 2


async def test_workers_that_forget_at_once_while_people_write_lose_nothing_else(house: House) -> None:
    """Nobody is refused, every place is counted once, and the old ones are gone."""
    chats = [await a_chat(house, *"abcdef") for _ in range(4)]
    for _, _, chat in chats:
        await age(house, chat, 5)
    writing = [ada.says(chat, "new") for ada, _, chat in chats for _ in range(5)]
    editing = [
        ada.asks(
            "PATCH",
            f"{chat}/messages/{(await ada.gets(f'{chat}/messages'))['items'][0]['id']}",
            {"text": "x"},
        )
        for ada, _, chat in chats
    ]
    deleted = await asyncio.gather(
        *(house.sql.upkeep.forget_messages(KEPT) for _ in range(3)), *writing, *editing
    )
    assert {answer.status_code for answer in deleted[-len(editing) :]} <= {200, 404}
    await forget(house)
    for _, _, chat in chats:
        rows = await house.sql.rows("select seq from messages where chat_id = $1 order by seq", id_of(chat))
        assert [row["seq"] for row in rows] == list(range(6, 12))
