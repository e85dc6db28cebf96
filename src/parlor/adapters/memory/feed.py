"""The feed of a process that is alone."""

import asyncio
from collections.abc import Callable

import structlog

log = structlog.get_logger()

Listener = Callable[[bytes], None]


class MemoryFeed:
    """Port Feed. Hints come with the loop's next turn, never inside `publish`."""

    def __init__(self) -> None:
        self._listeners: dict[str, dict[object, Listener]] = {}

    def live(self, channel: str) -> bool:  # noqa: ARG002 - the port's; here every channel is
        """Whether hints arrive: always."""
        return True

    async def publish(
        self,
        channel: str,
        message: bytes,
        *,
        repeatable: bool = False,  # noqa: ARG002 - the port's; here there is no longer way
    ) -> None:
        """Hand the hint to the loop."""
        asyncio.get_running_loop().call_soon(self._tell, channel, message)

    def listen(
        self,
        channel: str,
        heard: Listener,
        resumed: Callable[[], None] | None = None,  # noqa: ARG002 - the port's; here nothing is lost
    ) -> Callable[[], None]:
        """Hear what is published from now on."""
        ticket = object()
        self._listeners.setdefault(channel, {})[ticket] = heard

        def end() -> None:
            listeners = self._listeners.get(channel, {})
            if listeners.pop(ticket, None) is not None and not listeners:
                del self._listeners[channel]

        return end

    def _tell(self, channel: str, message: bytes) -> None:
        for heard in tuple(self._listeners.get(channel, {}).values()):
            try:
                heard(message)
            except Exception:  # one listener's mistake must not keep the hint from the others
                log.exception("feed_listener_failed", channel=channel)
