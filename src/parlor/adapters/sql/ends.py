"""The events of tasks: told by the very statement that ends a run, and numbered by the row's version."""

from collections.abc import Mapping

from parlor.core.shared.events import Event
from parlor.core.tasks.events import TaskCancelled, TaskFailed, TaskSucceeded
from parlor.core.tasks.model import TaskStatus

_EVENTS: Mapping[TaskStatus, type[Event]] = {
    TaskStatus.SUCCEEDED: TaskSucceeded,
    TaskStatus.FAILED: TaskFailed,
    TaskStatus.CANCELLED: TaskCancelled,
}
_NAMES = " ".join(f"when '{status}' then '{event.name}'" for status, event in _EVENTS.items())
_VERSIONS = " ".join(f"when '{status}' then {event.version}" for status, event in _EVENTS.items())
_LANE = "('x' || right(id::text, 1))::bit(4)::int"


def told(ended: str) -> str:
    """Write the insert for those rows of `ended` (a CTE of whole tasks) that have ended."""
    return f"""
    insert into event_outbox (lane, event_id, name, version, subject, sequence, traceparent, body)
    select {_LANE}, gen_random_uuid(), case status {_NAMES} end, case status {_VERSIONS} end, id, version,
           traceparent,
           jsonb_build_object('task_id', id, 'kind', kind)
           || case status when 'failed' then jsonb_build_object('code', error -> 'code') else '{{}}' end
      from {ended} where status in ({", ".join(f"'{status}'" for status in _EVENTS)})"""
