"""What waits for a reader: one who takes nearly nothing of it is cut off, so that answers do not pile up."""

import asyncio
import struct
import sys

if sys.platform == "linux":
    import fcntl
    import termios

LOOK_EVERY_S = 30.0
LEAST_BYTES = 32_768  # about 1 KiB a second

_COUNT = struct.Struct("i")


class Outflow:
    """Looks, while something waits, every 30 s; whoever took less than 32 KiB in between, and not all, is dropped."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._waiting = 0
        self._look: asyncio.TimerHandle | None = None

    def watch(self) -> None:
        """Begin, unless it is being watched."""
        if self._look is None:
            self._begin()

    def answered(self) -> None:
        """Begin anew where the end of an answer waits: whoever asks again has read the one before."""
        self.rest()
        if self._transport.get_write_buffer_size():
            self._begin()

    def rest(self) -> None:
        """Watch no more: it flows."""
        if self._look is not None:
            self._look.cancel()
            self._look = None

    def _begin(self) -> None:
        self._waiting = self._left()
        self._look = self._loop.call_later(LOOK_EVERY_S, self._judge)

    def _judge(self) -> None:
        left = self._left()
        self._look = None
        if left > max(0, self._waiting - LEAST_BYTES):
            self._transport.abort()
        elif left:
            self._begin()

    def _left(self) -> int:
        """Count what the peer has not acknowledged: the kernel hides how slowly it reads behind a buffer of its own."""
        return self._transport.get_write_buffer_size() + _unacknowledged(self._transport)


def _unacknowledged(transport: asyncio.Transport) -> int:
    connected = transport.get_extra_info("socket")
    if connected is None or sys.platform != "linux":
        return 0
    try:
        (count,) = _COUNT.unpack(fcntl.ioctl(connected.fileno(), termios.TIOCOUTQ, bytes(_COUNT.size)))
    except OSError:
        return 0
    return int(count)
