"""Orders that reach us straight over the broker: who may, and why one is refused."""

from dataclasses import dataclass
from uuid import UUID

from parlor.core.shared.actor import ActorKind
from parlor.core.shared.errors import Invalid
from parlor.core.shared.ids import TaskId, UserId
from parlor.core.shared.work import UnitOfWork
from parlor.core.tasks.http_request import HttpRequestHandler
from parlor.core.tasks.kinds import CREATE, Kinds, UnknownKind
from parlor.core.tasks.model import Order, Requester, Task
from parlor.core.tasks.reasons import Reason
from parlor.core.tasks.schedules_ports import ScheduleWork

# The broker does not say which.
SOME_PRODUCER = Requester(kind=ActorKind.PRODUCER)


class Refused(Exception):
    """A message cannot be taken; `reason` is one of the words of the RabbitMQ contract."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Producers:
    """What the broker's users may ask for: `kinds` None is every kind without a permission, and `http_request`.

    Where they are `trusted`, they may speak for a user, and ask for what that user may.
    """

    kinds: frozenset[str] | None = None
    trusted: bool = False

    def may(self, kind: str, permission: str | None) -> bool:
        """Whether they may ask for this kind."""
        if self.kinds is not None:
            return kind in self.kinds
        return permission is None or kind == HttpRequestHandler.kind


@dataclass(frozen=True, slots=True)
class ForeignOrder:
    """An order as a producer sent it: its id, and the id of the user it says it speaks for."""

    id: TaskId
    order: Order
    requested_by: str | None = None


@dataclass(frozen=True, slots=True)
class AdmitForeign:
    """Makes a producer's order a task that may be claimed; the broker's own permissions said who may send it."""

    kinds: Kinds
    producers: Producers
    work: UnitOfWork[ScheduleWork]

    async def __call__(self, foreign: ForeignOrder) -> Task:
        """Raises Refused."""
        order = foreign.order
        permission = self._permission(order.kind)
        requester = self._requester(foreign)
        if requester.user_id is not None:
            await self._must_hold(requester.user_id, permission)
        elif not self.producers.may(order.kind, permission):
            raise Refused(Reason.FORBIDDEN_KIND, "Producers may not run this kind.")
        try:
            order = self.kinds.checked(order)
        except Invalid as error:
            raise Refused(Reason.INVALID_PAYLOAD, _told(error)) from error
        return Task.ordered(foreign.id, order, requester)

    def _permission(self, kind: str) -> str | None:
        try:
            return self.kinds.offer(kind).permission
        except UnknownKind as error:
            raise Refused(Reason.UNKNOWN_KIND, "No handler runs this kind.") from error

    async def _must_hold(self, user_id: UserId, permission: str | None) -> None:
        async with self.work() as work:
            held = (await work.owners.permissions({user_id})).get(user_id)
        if held is None:
            raise Refused(Reason.FORBIDDEN_KIND, "requested_by is no active user.")
        if not {CREATE, permission or CREATE} <= held:
            raise Refused(Reason.FORBIDDEN_KIND, "The user in requested_by may not run this kind.")

    def _requester(self, foreign: ForeignOrder) -> Requester:
        if foreign.requested_by is None or not self.producers.trusted:
            return SOME_PRODUCER
        try:
            user_id = UserId(UUID(foreign.requested_by))
        except ValueError as error:
            raise Refused(Reason.INVALID_MESSAGE, "requested_by is not a user's id.") from error
        return Requester(kind=ActorKind.USER, id=user_id, user_id=user_id)


def _told(error: Invalid) -> str:
    return "; ".join(f"{flaw.pointer}: {flaw.detail}" for flaw in error.flaws) or error.detail
