"""Takes deliveries and confirmations out of what the broker sends; all other frames are the library's.

The library needs four times as long for each, and closes the connection on properties that it cannot decode. Here
nothing is decoded.
"""

import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from parlor.adapters.rabbitmq.frames import BODY, END, HEADER, METHOD

FRAME_KINDS = frozenset({METHOD, HEADER, BODY, 8})
DELIVER = b"\x00\x3c\x00\x3c"
RETURN = b"\x00\x3c\x00\x32"
ACK, NACK = b"\x00\x3c\x00\x50", b"\x00\x3c\x00\x78"
BLOCKED = b"\x00\x0a\x00\x3c"
UNBLOCKED = b"\x00\x0a\x00\x3d"
HEARTBEAT = b"\x08\x00\x00\x00\x00\x00\x00" + END
SILENCE_S = 5.0
SIZES = 12  # of a content header: class, weight, the body's size

_HEAD = struct.Struct(">BHI")
_TAG = struct.Struct(">Q?")
_CONFIRM = struct.Struct(">QB")
_MULTIPLE = 1


@dataclass(slots=True)
class Received:
    """A message as it came."""

    consumer: str
    tag: int
    routing_key: str
    properties: bytes = b""
    body: bytes = b""


Receive = Callable[[Received], None]


class Publisher(Protocol):
    """A channel that publishes, and hears what became of its messages."""

    def settled(self, tag: int, *, multiple: bool, good: bool) -> None: ...
    def returned(self, properties: bytes) -> None: ...


@dataclass(slots=True)
class _Coming:
    message: Received
    parts: list[bytes] = field(default_factory=list)
    missing: int = 0

    def grows(self, kind: int, payload: bytes) -> bool:
        """Add a frame; answers whether the message is complete."""
        if kind == HEADER:
            self.missing = int.from_bytes(payload[4:SIZES])
            self.message.properties = payload[SIZES:]
        else:
            self.missing -= len(payload)
            self.parts.append(payload)
        if self.missing > 0:
            return False
        self.message.body = b"".join(self.parts)
        return True


class Sieve:
    """Knows where a frame ends, whose deliveries are wanted, and whether the broker has blocked us."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.blocked = False
        self.receivers: dict[int, Receive] = {}
        self.publishers: dict[int, Publisher] = {}
        self._coming: dict[int, _Coming] = {}
        self._unread = b""
        self._clock = clock
        self._passed_at = clock()

    def feed(self, data: bytes) -> bytes:
        """Take what came; answers what is left for the library."""
        data = self._unread + data
        passed, start = [], 0
        while start + _HEAD.size <= len(data):
            kind, channel, size = _HEAD.unpack_from(data, start)
            if kind not in FRAME_KINDS:
                return self._let_go(data)
            body_at = start + _HEAD.size
            end = body_at + size + len(END)
            if end > len(data):
                break
            if not self._takes(kind, channel, data[body_at : end - len(END)]):
                passed.append(data[start:end])
            start = end
        self._unread = data[start:]
        return self._alive(b"".join(passed))

    def _takes(self, kind: int, channel: int, payload: bytes) -> bool:
        if kind == METHOD:
            return self._takes_method(channel, payload[:4], payload)
        if kind in (HEADER, BODY) and (coming := self._coming.get(channel)) is not None:
            if coming.grows(kind, payload):
                self._deliver(channel, self._coming.pop(channel).message)
            return True
        return False

    def _takes_method(self, channel: int, method: bytes, payload: bytes) -> bool:
        self._note(channel, method)
        if method == DELIVER and channel in self.receivers:
            self._coming[channel] = _Coming(_delivery(payload))
        elif channel not in self.publishers:
            return False
        elif method == RETURN:
            self._coming[channel] = _Coming(Received("", 0, ""))
        elif method in (ACK, NACK):
            tag, flags = _CONFIRM.unpack_from(payload, len(method))
            self.publishers[channel].settled(tag, multiple=bool(flags & _MULTIPLE), good=method == ACK)
        else:
            return False
        return True

    def _deliver(self, channel: int, message: Received) -> None:
        if (receive := self.receivers.get(channel)) is not None:
            receive(message)
        elif (publisher := self.publishers.get(channel)) is not None:
            publisher.returned(message.properties)

    def _note(self, channel: int, method: bytes) -> None:
        if channel == 0 and method in (BLOCKED, UNBLOCKED):
            self.blocked = method == BLOCKED

    def _alive(self, passed: bytes) -> bytes:
        """Tell the library now and then that the broker is there: deliveries may be all that comes."""
        if not passed and self._clock() - self._passed_at < SILENCE_S:
            return passed
        self._passed_at = self._clock()
        return passed or HEARTBEAT

    def _let_go(self, data: bytes) -> bytes:
        """Give up on a broker of another protocol: the library says what is wrong."""
        self._unread = b""
        return data


def _delivery(payload: bytes) -> Received:
    consumer, at = _short(payload, 4)
    tag, _ = _TAG.unpack_from(payload, at)
    _, at = _short(payload, at + _TAG.size)
    routing_key, _ = _short(payload, at)
    return Received(consumer, tag, routing_key)


def _short(payload: bytes, at: int) -> tuple[str, int]:
    end = at + 1 + payload[at]
    return payload[at + 1 : end].decode(errors="replace"), end
