"""Mails that a transaction orders: each is a task of Parlor's own, with the address among its secrets."""

from typing import Protocol

from parlor.core.identity.mail_orders import MailOrder
from parlor.core.identity.mailing import SendMailHandler
from parlor.core.shared.actor import ActorKind
from parlor.core.shared.ids import TaskId, uuid7
from parlor.core.tasks.model import Order, Priority, Requester, Task

MAX_ATTEMPTS = 20  # with the usual backoff: for about an hour
TIMEOUT_S = 30


class Adding(Protocol):
    """What it needs of the work that it belongs to: the tasks of the same transaction."""

    async def add(self, task: Task) -> None: ...


class TaskMailOrders:
    """Port `MailOrders`."""

    def __init__(self, tasks: Adding) -> None:
        self._tasks = tasks

    async def add(self, order: MailOrder) -> None:
        """Add the task that writes and sends it."""
        wanted = Order(
            kind=SendMailHandler.kind,
            payload={"occasion": order.occasion},
            secrets={"email": order.email},
            priority=Priority.HIGH,  # somebody waits for it
            max_attempts=MAX_ATTEMPTS,
            timeout_s=TIMEOUT_S,
        )
        await self._tasks.add(Task.ordered(TaskId(uuid7()), wanted, Requester(ActorKind.SYSTEM)))
