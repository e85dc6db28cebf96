"""Which deliveries of a channel are still to be settled, and how few acknowledgements say so."""

from collections.abc import Collection
from dataclasses import dataclass, field


@dataclass(slots=True)
class Ledger:
    """The unsettled delivery tags of one channel, in the order of their coming, each with its queue."""

    _open: dict[int, str] = field(default_factory=dict)
    _held: dict[str, int] = field(default_factory=dict)

    def enter(self, tag: int, queue: str) -> None:
        """Note a delivery."""
        self._open[tag] = queue
        self._held[queue] = self.held(queue) + 1

    def held(self, queue: str) -> int:
        """Count the queue's unsettled deliveries."""
        return self._held.get(queue, 0)

    def unsettled(self, tags: Collection[int]) -> list[int]:
        """Answer those that are still open, in order."""
        return sorted(tag for tag in set(tags) if tag in self._open)

    def marks(self, tags: list[int]) -> list[tuple[int, bool]]:
        """Answer which of these to acknowledge, and whether each stands for all below it too."""
        settled = set(tags)
        lowest_left = next((tag for tag in self._open if tag not in settled), None)
        row = [tag for tag in tags if lowest_left is None or tag < lowest_left]
        single = [(tag, False) for tag in tags[len(row) :]]
        return [(row[-1], len(row) > 1), *single] if row else single

    def strike(self, tags: Collection[int]) -> None:
        """Note that they are settled."""
        for tag in tags:
            self._held[self._open.pop(tag)] -= 1
