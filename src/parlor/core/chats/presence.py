"""Who listens to a chat, in all processes together: never stored, told in batches, forgotten when nobody repeats it."""

import secrets
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

from parlor.core.chats.changes import Change, ChangeKind
from parlor.core.shared.feed import named_in
from parlor.core.shared.ids import ChatId, UserId

REPEAT_S = 20.0
FORGET_S = 45.0
GRACE_S = 5.0
"""Who comes back within it was never gone."""
SOURCE_BYTES = 16


def new_source() -> bytes:
    """Name this process, as long as it runs."""
    return secrets.token_bytes(SOURCE_BYTES)


def announcement(chat_id: ChatId, source: bytes, user_ids: Iterable[UserId]) -> Change:
    """Say who listens here: all of them, so that a lost word is made good by the next."""
    message = source + b"".join(one.bytes for one in user_ids)
    return Change(chat_id, 0, ChangeKind.PRESENT, message=message)


@dataclass(slots=True)
class Attendance:
    """Who is online in one chat. What changed is asked for about once a second, which makes batches of it."""

    source: bytes
    online: dict[UserId, float] = field(default_factory=dict[UserId, float])
    """Whom listeners know to be there, and when they were last seen to be."""
    _told: dict[bytes, tuple[frozenset[UserId], float]] = field(
        init=False, default_factory=dict[bytes, tuple[frozenset[UserId], float]]
    )
    _repeat_at: float = 0.0
    _here: frozenset[UserId] = frozenset()

    def hear(self, message: bytes, now: float) -> None:
        """Take what a process says; one that is new to us does not know who is here."""
        source, rest = message[:SOURCE_BYTES], message[SOURCE_BYTES:]
        if source not in self._told and source != self.source:
            self._repeat_at = 0.0
        self._told[source] = (frozenset(map(UserId, named_in(rest))), now)

    def due(self, here: Collection[UserId], now: float) -> bool:
        """Whether it is to be said who listens here: somebody else does, or it was not said for 20 s."""
        if self._here == frozenset(here) and now < self._repeat_at:
            return False
        self._here, self._repeat_at = frozenset(here), now + REPEAT_S
        return True

    def changed(self, now: float) -> Iterator[tuple[UserId, bool]]:
        """Give who has come and who has gone since the last time."""
        self._told = {one: told for one, told in self._told.items() if now < told[1] + FORGET_S}
        present = {user_id for users, _ in self._told.values() for user_id in users}
        for user_id in present:
            if user_id not in self.online:
                yield user_id, True
            self.online[user_id] = now
        for user_id in [one for one, seen in self.online.items() if seen + GRACE_S <= now]:
            del self.online[user_id]
            yield user_id, False


@dataclass(slots=True)
class Company:
    """Whom one listener knows to be online, over all the chats that they follow."""

    _where: dict[UserId, set[ChatId]] = field(init=False, default_factory=dict[UserId, set[ChatId]])

    def show(self, chat_id: ChatId, user_id: UserId, *, online: bool) -> bool:
        """Note it; tells whether that is news: they were nowhere, or are nowhere now."""
        chats = self._where.setdefault(user_id, set())
        before = bool(chats)
        if online:
            chats.add(chat_id)
        else:
            chats.discard(chat_id)
        if not chats:
            del self._where[user_id]
        return before is not bool(chats)

    def forget(self, chat_id: ChatId) -> None:
        """Know nothing any more of a chat that is no longer followed."""
        for user_id, chats in tuple(self._where.items()):
            chats.discard(chat_id)
            if not chats:
                del self._where[user_id]
