"""Places and reading positions of a chat under any order of events, beside a model that says what they must be."""

import asyncio
import json
from collections import Counter
from typing import Any

from hypothesis import given, settings, strategies as st

from parlor.core.chats.changes import ChangeKind
from parlor.core.chats.messages import MessageDeleted, NotYourMessage
from parlor.core.shared.actor import Actor
from parlor.core.shared.errors import NotFound
from parlor.core.shared.ids import ChatId, MessageId
from tests.unit.chats.stage import Stage, id_of

PEOPLE = 3
REFUSALS = (NotFound, MessageDeleted, NotYourMessage)

steps = st.lists(
    st.tuples(
        st.sampled_from(["post", "again", "edit", "delete", "react", "unreact", "read", "leave", "join"]),
        st.integers(0, PEOPLE - 1),
        st.integers(0, 9),
    ),
    max_size=30,
)


class Chat:
    """A chat of one owner, who stays, and others who come and go; and what has been seen of it so far."""

    def __init__(self, stage: Stage, chat_id: ChatId, people: list[Actor]) -> None:
        self.stage = stage
        self.chat_id = chat_id
        self.people = people
        self.said: list[MessageId] = []
        self.read = Counter[int]()

    async def do(self, step: str, who: int, which: int) -> None:
        """Take a step; one that is refused changes nothing."""
        before = self.stage.store.heads[self.chat_id].last_rev
        try:
            await self._do(step, who, which)
        except REFUSALS:
            assert self.stage.store.heads[self.chat_id].last_rev == before

    async def _do(self, step: str, who: int, which: int) -> None:
        actor, stage, chat_id = self.people[who], self.stage, self.chat_id
        place = self.said[which % len(self.said)] if self.said else None
        match step:
            case "post" | "again":
                client_id = str(which) if step == "again" else None
                posted = await stage.post(actor, chat_id, "hi", client_id=client_id)
                if posted.new:
                    self.said.append(posted.id)
                    assert posted.seq == len(self.said)
                    self.read[who] = posted.seq
            case "read":
                await stage.read(actor, chat_id, which)
                self.read[who] = max(self.read[who], min(which, len(self.said)))
            case "leave" if who > 0:
                await stage.remove(actor, chat_id, id_of(actor))
            case "join":
                if await stage.add(self.people[0], chat_id, id_of(actor)):
                    self.read[who] = len(self.said)
            case "edit" if place is not None:
                await stage.edit(actor, chat_id, place, str(which))
            case "delete" if place is not None:
                await stage.delete(actor, chat_id, place)
            case "react" if place is not None:
                await stage.react(actor, chat_id, place, str(which))
            case "unreact" if place is not None:
                await stage.unreact(actor, chat_id, place, str(which))
            case _:
                pass

    def check(self) -> None:
        """Compare everything with what it must be."""
        store = self.stage.store
        head = store.heads[self.chat_id]
        told = [change for change in store.changes if change.kind is not ChangeKind.READ]
        assert [change.rev for change in told] == list(range(1, head.last_rev + 1))
        assert [store.messages[one].seq for one in self.said] == list(range(1, head.last_seq + 1))
        newest: dict[str, Any] = {}
        for change in told:
            if change.message:
                shown = json.loads(change.message)
                newest[shown["id"]] = shown["rev"]
        assert newest == {str(one): store.messages[one].rev for one in self.said}
        for who, actor in enumerate(self.people):
            if store.here(self.chat_id, id_of(actor)):
                assert store.unread(self.chat_id, id_of(actor)) == head.last_seq - self.read[who] >= 0
        for one in self.said:
            counted = Counter(emoji for message, _, emoji in store.reactions if message == one)
            assert store.messages[one].reactions == counted


@settings(max_examples=60, deadline=None, derandomize=True)
@given(steps)
def test_places_have_no_hole_and_reading_positions_are_true(taken: list[tuple[str, int, int]]) -> None:
    """Each effective change takes the next rev and is told once; a message is told under its newest."""

    async def play() -> None:
        stage = Stage()
        people = [await stage.person() for _ in range(PEOPLE)]
        chat = Chat(stage, await stage.group(*people), people)
        for step in taken:
            await chat.do(*step)
        chat.check()

    asyncio.run(play())
