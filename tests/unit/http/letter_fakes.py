"""Dead letters as the routes see them."""

from dataclasses import dataclass, field

from parlor.core.shared.actor import Actor
from parlor.core.shared.errors import NotFound
from parlor.core.shared.ids import DeadLetterId, uuid7
from parlor.core.shared.paging import Page, PageRequest
from parlor.core.tasks.model import AlreadyReplayed

LETTER_ID = DeadLetterId(uuid7())


@dataclass
class FakeLetters:
    """One letter, what readers get of it, and what is done about it."""

    view: bytes = b'{"id": "x"}'
    replayed: bool = False
    asked: list[tuple[PageRequest, str | None]] = field(default_factory=list)
    done: list[tuple[str, Actor]] = field(default_factory=list)

    async def one(self, _viewer: Actor, letter_id: DeadLetterId) -> bytes:
        if letter_id != LETTER_ID:
            raise NotFound
        return self.view

    async def page(self, _viewer: Actor, page: PageRequest, *, reason: str | None) -> Page[bytes]:
        self.asked.append((page, reason))
        return Page(b"[]", None)

    async def replay(self, actor: Actor, letter_id: DeadLetterId) -> None:
        await self.one(actor, letter_id)
        if self.replayed:
            raise AlreadyReplayed
        self.replayed = True
        self.done.append(("replay", actor))

    async def discard(self, actor: Actor, letter_id: DeadLetterId) -> None:
        await self.one(actor, letter_id)
        self.done.append(("discard", actor))
