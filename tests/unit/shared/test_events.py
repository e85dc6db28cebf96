"""Events: what a subscriber gets of one."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar
from uuid import UUID

import pytest

from parlor.core.identity.events import RefreshReuseDetected, UserRegistered
from parlor.core.shared.events import Event, plain_fields
from parlor.core.shared.ids import SessionId, TaskId, UserId, uuid7
from parlor.core.tasks.events import TaskFailed, TaskSucceeded


@dataclass(frozen=True, slots=True)
class Everything(Event):
    """One field of each kind that may travel."""

    name: ClassVar[str] = "tests.everything"
    who: UUID
    when: datetime
    text: str
    number: int
    share: float
    yes: bool
    missing: str | None


def test_an_events_fields_become_plain_values() -> None:
    who = uuid7()
    event = Everything(who, datetime(2026, 3, 1, 12, tzinfo=UTC), "hi", 7, 0.5, yes=True, missing=None)
    assert plain_fields(event) == {
        "who": str(who),
        "when": "2026-03-01T12:00:00Z",
        "text": "hi",
        "number": 7,
        "share": 0.5,
        "yes": True,
        "missing": None,
    }


def test_an_event_carries_nothing_else() -> None:
    @dataclass(frozen=True, slots=True)
    class Loaded(Event):
        name: ClassVar[str] = "tests.loaded"
        things: tuple[int, ...]

    with pytest.raises(TypeError, match="not tuple"):
        plain_fields(Loaded((1, 2)))


def test_an_event_without_a_subject_is_a_mistake() -> None:
    with pytest.raises(NotImplementedError):
        _ = Event().subject


ID = uuid7()


@pytest.mark.parametrize(
    ("event", "name", "fields"),
    [
        (UserRegistered(UserId(ID)), "identity.user_registered", {"user_id"}),
        (
            RefreshReuseDetected(UserId(ID), SessionId(uuid7())),
            "identity.refresh_reuse_detected",
            {"user_id", "session_id"},
        ),
        (TaskSucceeded(TaskId(ID), "note"), "tasks.task_succeeded", {"task_id", "kind"}),
        (TaskFailed(TaskId(ID), "note", "code"), "tasks.task_failed", {"task_id", "kind", "code"}),
    ],
)
def test_published_events_keep_their_names_and_fields(event: Event, name: str, fields: set[str]) -> None:
    """Subscribers in any language rely on them."""
    assert (event.name, event.version, event.subject) == (name, 1, ID)
    assert plain_fields(event).keys() == fields
