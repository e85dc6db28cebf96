"""The frames that are sent by the thousand, written by hand: the library takes ten times as long for each."""

import struct
from functools import lru_cache

from pamqp import constants

METHOD, HEADER, BODY = constants.FRAME_METHOD, constants.FRAME_HEADER, constants.FRAME_BODY
END = constants.FRAME_END_CHAR
BASIC, PUBLISH, ACK, NACK = 60, 40, 80, 120
MULTIPLE, REQUEUE = 1, 2
MANDATORY = 1
OVERHEAD = 8  # of each frame, within the size that the two sides agreed upon

_HEAD = struct.Struct(">BHI")
_CONTENT = struct.Struct(">BHIHHQ")
_SETTLE = struct.Struct(">BHIHHQBc")


def publish(channel: int, target: bytes, properties: bytes, body: bytes, frame_max: int) -> list[bytes]:
    """Write one message: its method, its header and its body; `target` is what `address` made."""
    head = _CONTENT.pack(HEADER, channel, 12 + len(properties), BASIC, 0, len(body))
    return [_frame(METHOD, channel, target), head, properties, END, *_contents(channel, body, frame_max)]


def _contents(channel: int, body: bytes, frame_max: int) -> list[bytes]:
    step = frame_max - OVERHEAD
    if len(body) <= step:
        return [_frame(BODY, channel, body)] if body else []
    return [_frame(BODY, channel, body[start : start + step]) for start in range(0, len(body), step)]


@lru_cache(maxsize=1024)
def address(exchange: str, routing_key: str, *, mandatory: bool) -> bytes:
    """Write where a message goes; few addresses are used again and again."""
    flags = MANDATORY if mandatory else 0
    names = short_text(exchange) + short_text(routing_key)
    return struct.pack(">HHH", BASIC, PUBLISH, 0) + names + bytes([flags])


def ack(channel: int, tag: int, *, multiple: bool) -> bytes:
    """Settle a delivery, or all up to it."""
    return _SETTLE.pack(METHOD, channel, 13, BASIC, ACK, tag, MULTIPLE if multiple else 0, END)


def requeue(channel: int, tag: int) -> bytes:
    """Give a delivery back to its queue."""
    return _SETTLE.pack(METHOD, channel, 13, BASIC, NACK, tag, REQUEUE, END)


def short_text(text: str) -> bytes:
    """Write a text of at most 255 bytes; raises ValueError for a longer one."""
    raw = text.encode()
    return bytes([len(raw)]) + raw


def _frame(kind: int, channel: int, payload: bytes) -> bytes:
    return b"%b%b%b" % (_HEAD.pack(kind, channel, len(payload)), payload, END)
