"""Orders that reach us straight over the broker: who may, and why one is refused."""

from dataclasses import dataclass, field

from parlor.core.shared.actor import ActorKind
from parlor.core.shared.errors import Invalid
from parlor.core.shared.ids import TaskId, UserId
from parlor.core.tasks.http_request import HttpRequestHandler
from parlor.core.tasks.kinds import Kinds, UnknownKind
from parlor.core.tasks.model import Order, Requester, Task


class Refused(Exception):
    """A message cannot be taken; `reason` is one of the words of the RabbitMQ contract."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Producers:
    """What the broker's users may ask for: `kinds` None is every kind without a permission, and `http_request`."""

    kinds: frozenset[str] | None = None
    trusted: bool = False


@dataclass(frozen=True, slots=True)
class ForeignOrder:
    """An order as a producer sent it: its id, and the user it says it speaks for."""

    id: TaskId
    order: Order
    requested_by: UserId | None = field(default=None)


@dataclass(frozen=True, slots=True)
class AdmitForeign:
    """Makes a producer's order a task that may be claimed; the broker's own permissions said who may send it."""

    kinds: Kinds
    producers: Producers

    def __call__(self, foreign: ForeignOrder) -> Task:
        order = foreign.order
        self._admit(order.kind)
        try:
            order = self.kinds.checked(order)
        except Invalid as error:
            raise Refused("invalid_payload", _told(error)) from error
        return Task.ordered(foreign.id, order, self._requester(foreign))

    def _admit(self, kind: str) -> None:
        try:
            permission = self.kinds.handler(kind).permission
        except UnknownKind as error:
            raise Refused("unknown_kind", "No handler runs this kind.") from error
        open_to_all = permission is None or kind == HttpRequestHandler.kind
        listed = self.producers.kinds
        allowed = open_to_all if listed is None else kind in listed
        if not allowed:
            raise Refused("forbidden_kind", "Producers may not run this kind.")

    def _requester(self, foreign: ForeignOrder) -> Requester:
        user_id = foreign.requested_by if self.producers.trusted else None
        if user_id is None:
            return Requester(kind=ActorKind.PRODUCER)
        return Requester(kind=ActorKind.USER, id=user_id, user_id=user_id)


def _told(error: Invalid) -> str:
    return "; ".join(f"{flaw.pointer}: {flaw.detail}" for flaw in error.flaws) or error.detail
