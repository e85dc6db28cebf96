"""The feed: hints between processes that may be lost, because the tables are the truth."""

from collections.abc import Callable
from typing import Protocol


class Feed(Protocol):
    """Publish and listen on channels; a hint reaches this process's own listeners too."""

    def live(self, channel: str) -> bool:
        """Whether hints on this channel reach this process right now."""
        ...

    async def publish(self, channel: str, message: bytes) -> None:
        """Send a hint, in at most 0.2 s. Never raises: what it says is found in the tables too."""
        ...

    def listen(self, channel: str, heard: Callable[[bytes], None]) -> Callable[[], None]:
        """Call `heard` (which must not block) with every hint from now on; the answer ends it."""
        ...
