"""How long to wait before the next attempt: longer each time, and never all clients at once."""

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits up to `first_s`, then up to twice that, never beyond `most_s`; an ordinary call is sent `tries` times."""

    first_s: float = 0.5
    most_s: float = 30.0
    tries: int = 4

    def pause(self, attempt: int, *, at_least: float = 0) -> float:
        """Draw the seconds to wait after attempt 0, 1, 2 …; on top of what a server asked for."""
        longest = min(self.most_s, self.first_s * 2 ** min(attempt, 16))
        return at_least + random.uniform(0, longest)  # noqa: S311 - spreads load, guards nothing
