"""What is done about dead letters: they are kept, sent again, or thrown away."""

from dataclasses import dataclass

from parlor.core.shared.actor import Actor
from parlor.core.shared.clock import Clock
from parlor.core.shared.ids import DeadLetterId
from parlor.core.shared.work import UnitOfWork
from parlor.core.tasks.model import MANAGE, DeadLetter
from parlor.core.tasks.ports import TaskWork


@dataclass(frozen=True, slots=True)
class KeepDeadLetter:
    """A message that could not be taken is kept, once."""

    work: UnitOfWork[TaskWork]

    async def __call__(self, letter: DeadLetter) -> None:
        async with self.work() as work:
            await work.letters.add(letter)


@dataclass(frozen=True, slots=True)
class ReplayDeadLetter:
    """Whoever holds `tasks:manage` sends a dead letter's message again, once.

    What is refused then becomes a dead letter of its own.
    """

    work: UnitOfWork[TaskWork]
    clock: Clock

    async def __call__(self, actor: Actor, letter_id: DeadLetterId) -> None:
        actor.must(MANAGE)
        async with self.work() as work:
            letter = await work.letters.get(letter_id)
            letter.replay(at=self.clock())
            await work.letters.send_again(letter)


@dataclass(frozen=True, slots=True)
class DiscardDeadLetter:
    """Whoever holds `tasks:manage` throws a dead letter away.

    A replay that was asked for before is sent all the same: its outbox row has all that it needs.
    """

    work: UnitOfWork[TaskWork]

    async def __call__(self, actor: Actor, letter_id: DeadLetterId) -> None:
        actor.must(MANAGE)
        async with self.work() as work:
            await work.letters.remove(letter_id)
