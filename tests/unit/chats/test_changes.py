"""Hints of what became of chats: written once, sent on without a query."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from parlor.core.chats import changes
from parlor.core.chats.changes import LETTERS, Change, ChangeKind, UnknownChange, channel_of
from parlor.core.shared.ids import ChatId, UserId, uuid7

CHAT, ADA = ChatId(uuid7()), UserId(uuid7())
EVERY = [
    Change(CHAT, 1, ChangeKind.CREATED, message=b'{"a": 1}'),
    Change(CHAT, 2**40, ChangeKind.EDITED, message=b"{}"),
    Change(CHAT, 3, ChangeKind.DELETED, message="\u00fc".encode()),
    Change(CHAT, 4, ChangeKind.REACTION, message=b"{}"),
    Change(CHAT, 5, ChangeKind.JOINED, user_id=ADA),
    Change(CHAT, 6, ChangeKind.LEFT, user_id=ADA),
    Change(CHAT, 7, ChangeKind.ENDED),
    Change(CHAT, 8, ChangeKind.FORGOTTEN),
    Change(CHAT, 0, ChangeKind.READ, user_id=ADA, seq=9),
    Change(CHAT, 0, ChangeKind.TYPING, user_id=ADA),
    Change(CHAT, 0, ChangeKind.PRESENT, message=b"somebody"),
]


@dataclass
class FakeFeed:
    """Port Feed: keeps what is published."""

    published: list[tuple[str, bytes]] = field(default_factory=list)
    repeatable: list[bool] = field(default_factory=list)

    def live(self, channel: str) -> bool:  # noqa: ARG002 - the port's
        return True

    async def publish(self, channel: str, message: bytes, *, repeatable: bool = False) -> None:
        self.published.append((channel, message))
        self.repeatable.append(repeatable)

    def listen(
        self, channel: str, heard: Callable[[bytes], None], resumed: Callable[[], None] | None = None
    ) -> Callable[[], None]:
        raise NotImplementedError


@pytest.mark.parametrize("change", EVERY, ids=[change.kind for change in EVERY])
def test_a_hint_is_read_as_it_was_written(change: Change) -> None:
    assert changes.read(CHAT, changes.written(change)) == change


def test_every_kind_has_a_letter_of_its_own() -> None:
    assert {change.kind for change in EVERY} == set(LETTERS) == set(ChangeKind)
    assert len(set(LETTERS.values())) == len(LETTERS)


def test_a_hint_is_a_letter_a_rev_and_the_message_as_it_is_shown() -> None:
    assert changes.written(EVERY[0]) == b"c" + bytes(7) + b"\x01" + b'{"a": 1}'


@pytest.mark.parametrize("hint", [b"", b"c", b"?" + bytes(8), b"j" + bytes(9), b"p" + bytes(30)], ids=repr)
def test_what_another_release_wrote_is_told_apart(hint: bytes) -> None:
    with pytest.raises(UnknownChange):
        changes.read(CHAT, hint)


async def test_each_chat_has_a_channel_and_changes_keep_their_order() -> None:
    feed, other = FakeFeed(), ChatId(uuid7())
    told = [*EVERY, Change(other, 1, ChangeKind.ENDED)]
    await changes.tell(feed, told)
    channels = [channel_of(CHAT)] * len(EVERY) + [channel_of(other)]
    assert feed.published == list(zip(channels, map(changes.written, told), strict=True))
    assert channel_of(CHAT) == f"chat.{CHAT}"


async def test_only_what_has_a_rev_may_be_heard_twice() -> None:
    """By its rev a repetition is known; who types twice would be told twice."""
    feed = FakeFeed()
    await changes.tell(feed, EVERY)
    assert feed.repeatable == [change.rev > 0 for change in EVERY]
