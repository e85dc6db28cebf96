"""Every id's own type, and the UUIDv7 that they are made of."""

import os
import threading
import time
from typing import NewType
from uuid import UUID

UserId = NewType("UserId", UUID)
SessionId = NewType("SessionId", UUID)
ApiKeyId = NewType("ApiKeyId", UUID)
PartyId = NewType("PartyId", UUID)
InvitationId = NewType("InvitationId", UUID)
ChatId = NewType("ChatId", UUID)
MessageId = NewType("MessageId", UUID)
TaskId = NewType("TaskId", UUID)
ScheduleId = NewType("ScheduleId", UUID)
DeadLetterId = NewType("DeadLetterId", UUID)
EventId = NewType("EventId", UUID)

_COUNTER_BITS = 12
_lock = threading.Lock()
_last = 0


def uuid7() -> UUID:
    """Make a UUID version 7 (RFC 9562), greater than any that this process made before.

    48 bits of milliseconds, a 12-bit counter in `rand_a` (method 1 of section 6.2), 62 random bits. The counter
    carries into the milliseconds, so more than 4,096 ids a millisecond run ahead of the clock instead of repeating.
    """
    ticks = _next_tick()
    high = (ticks >> _COUNTER_BITS << 16) | 0x7000 | (ticks & 0xFFF)
    low = (0b10 << 62) | (int.from_bytes(os.urandom(8), "big") >> 2)
    return UUID(int=high << 64 | low)


def _next_tick() -> int:
    global _last  # noqa: PLW0603 - the one place where a process remembers its last id
    now = time.time_ns() // 1_000_000 << _COUNTER_BITS
    with _lock:
        _last = now if now > _last else _last + 1
        return _last
