"""A chat's changes in the order of their revs, whatever order their hints come in."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from parlor.core.chats.changes import Change
from parlor.core.chats.frames import Gap
from parlor.core.shared.ids import ChatId

MOST_EARLY = 1000


@dataclass(slots=True)
class Order:
    """Gives each change when its turn has come: everything up to `rev` was given, in order, without a hole.

    What was changed again before it could be read has no row under its own rev any more: a gap stands for it.
    """

    chat_id: ChatId
    rev: int
    known: int = 0
    """The chat has come so far, as far as we have heard."""
    _early: dict[int, Change] = field(init=False, default_factory=dict[int, Change])

    @property
    def incomplete(self) -> bool:
        """Whether something is missing."""
        return self.rev < self.known

    def take(self, change: Change) -> Iterator[Change]:
        """Take a hint, and give all whose turn it is now. At most 1,000 that are early are kept: the table has them."""
        self.known = max(self.known, change.rev)
        if change.rev == self.rev + 1 or (change.rev > self.rev and len(self._early) < MOST_EARLY):
            self._early[change.rev] = change
        return self._in_turn()

    def mend(self, rows: Sequence[Change], upto: int) -> Iterator[Change | Gap]:
        """Give all that is known up to this rev, beyond which the rows, read from the table, do not tell everything."""
        # A hint says what its change was; the row, what has become of it since.
        found = {row.rev: row for row in rows} | self._early
        for rev in sorted(one for one in found if self.rev < one <= upto):
            if rev > self.rev + 1:
                yield Gap(self.chat_id, self.rev + 1, rev - 1)
            self.rev = rev
            yield found[rev]
        if self.rev < upto:
            yield Gap(self.chat_id, self.rev + 1, upto)
            self.rev = upto
        self.known = max(self.known, self.rev)
        self._early = {rev: change for rev, change in self._early.items() if rev > self.rev}
        yield from self._in_turn()

    def _in_turn(self) -> Iterator[Change]:
        while (following := self._early.pop(self.rev + 1, None)) is not None:
            self.rev += 1
            yield following
