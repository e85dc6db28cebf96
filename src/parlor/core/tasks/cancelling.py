"""Cancelling a run: the row says so, and a hint tells the worker that holds it at once."""

import struct
from collections.abc import Iterable
from uuid import UUID

from parlor.core.shared.ids import TaskId

CANCELLED_CHANNEL = "tasks.cancelled"

# A run is named by its fence too: the same task may run again before the hint arrives.
_RUN = struct.Struct(">16sQ")


def cancelled_message(task_id: TaskId, fence: int) -> bytes:
    """Write what goes over the feed when this run was cancelled."""
    return _RUN.pack(task_id.bytes, fence)


def read_cancelled(message: bytes) -> Iterable[tuple[TaskId, int]]:
    """Read the runs; nothing of a message in another version's words, since every renewal finds them too."""
    if len(message) % _RUN.size:
        return []
    return [(TaskId(UUID(bytes=raw)), fence) for raw, fence in _RUN.iter_unpack(message)]
