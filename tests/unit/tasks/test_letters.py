"""Dead letters: only managers act on them, and not before they are known to be that."""

from unittest.mock import AsyncMock

import pytest

from parlor.core.shared.actor import PermissionMissing
from parlor.core.shared.ids import DeadLetterId, uuid7
from parlor.core.tasks.letters import DiscardDeadLetter, ReplayDeadLetter
from parlor.core.tasks.model import AlreadyReplayed, Priority
from tests.builders import a_letter, an_actor
from tests.fakes.clock import NOON


async def test_whoever_does_not_manage_tasks_is_refused_before_anything_is_opened() -> None:
    work = AsyncMock()
    for act in (ReplayDeadLetter(work, clock=lambda: NOON), DiscardDeadLetter(work)):
        with pytest.raises(PermissionMissing):
            await act(an_actor("tasks:create"), DeadLetterId(uuid7()))
    work.assert_not_called()


def test_a_letter_is_replayed_once() -> None:
    letter = a_letter()
    letter.replay(at=NOON)
    with pytest.raises(AlreadyReplayed):
        letter.replay(at=NOON)
    assert letter.replayed_at == NOON


@pytest.mark.parametrize(
    ("routing_key", "queue"),
    [("high", Priority.HIGH), ("low", Priority.LOW), ("HIGH", Priority.DEFAULT), (None, Priority.DEFAULT)],
)
def test_it_goes_where_it_came_from_or_to_the_default_queue(routing_key: str | None, queue: Priority) -> None:
    assert a_letter(routing_key=routing_key).queue is queue
