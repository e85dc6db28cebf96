"""Deliveries that wait to be taken, and in which order they are."""

from collections import deque
from collections.abc import Mapping

from parlor.core.shared.bus import Delivery


class Waiting:
    """A line for each queue. Urgent ones go first, by their weights, so that none waits for ever."""

    def __init__(self, weights: Mapping[str, int]) -> None:
        self._weights = dict(weights)
        self._credit = dict.fromkeys(weights, 0)
        self._lines: dict[str, deque[Delivery]] = {queue: deque() for queue in weights}

    def __bool__(self) -> bool:
        return any(self._lines.values())

    def put(self, delivery: Delivery) -> None:
        """Queue it up."""
        self._lines[delivery.queue].append(delivery)

    def take(self, limit: int) -> list[Delivery]:
        """Take at most so many, the urgent ones first."""
        if sum(map(len, self._lines.values())) <= limit:
            return self.drain()
        taken: dict[str, list[Delivery]] = {queue: [] for queue in self._lines}
        for _ in range(limit):
            queue = self._next()
            taken[queue].append(self._lines[queue].popleft())
        return [each for line in taken.values() for each in line]

    def drain(self) -> list[Delivery]:
        """Take all."""
        drained = [each for line in self._lines.values() for each in line]
        for line in self._lines.values():
            line.clear()
        return drained

    def _next(self) -> str:
        """Smooth weighted round robin: whoever has waited longest for its share."""
        waiting = [queue for queue, line in self._lines.items() if line]
        for queue in waiting:
            self._credit[queue] += self._weights[queue]
        chosen = max(waiting, key=lambda queue: self._credit[queue])
        self._credit[chosen] -= sum(self._weights[queue] for queue in waiting)
        return chosen
