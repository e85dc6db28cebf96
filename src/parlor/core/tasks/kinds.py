"""The registry of kinds: which handler runs what, and who may ask for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from parlor.core.shared.actor import Actor
from parlor.core.shared.errors import Flaw, Invalid
from parlor.core.shared.handling import Internal, Limited
from parlor.core.tasks.model import Order
from parlor.core.tasks.ports import AnyHandler, Checked, Payloads

CREATE = "tasks:create"


class UnknownKind(Invalid):
    """There is no such kind of task."""

    code = "unknown_kind"


class InvalidPayload(Invalid):
    """The payload is not what this kind of task takes."""

    code = "invalid_payload"


@dataclass(frozen=True, slots=True)
class Kinds:
    """Every kind that this installation can run."""

    handlers: Mapping[str, AnyHandler]
    payloads: Payloads
    limits: Mapping[str, int] = field(default_factory=dict[str, int])
    internal: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls, handlers: Sequence[AnyHandler], payloads: Payloads, limits: Mapping[str, int] | None = None
    ) -> "Kinds":
        """Register handlers by their `kind`.

        `limits` says how many of a kind may run at once; it goes before the handler's own `concurrency`.

        Raises ValueError where two share a kind, or a limit stands for none.
        """
        by_kind = {handler.kind: handler for handler in handlers}
        if len(by_kind) != len(handlers):
            raise ValueError("two handlers share a kind")
        if unknown := set(limits or ()) - by_kind.keys():
            raise ValueError(f"no handler runs {', '.join(sorted(unknown))}")
        own = {handler.kind: handler.concurrency for handler in handlers if isinstance(handler, Limited)}
        internal = frozenset(handler.kind for handler in handlers if isinstance(handler, Internal))
        return cls(by_kind, payloads, limits={**own, **(limits or {})}, internal=internal)

    @property
    def offered(self) -> Mapping[str, AnyHandler]:
        """The kinds that can be asked for, in the order of their names: all but the internal ones."""
        return {kind: self.handlers[kind] for kind in sorted(self.handlers.keys() - self.internal)}

    def handler(self, kind: str) -> AnyHandler:
        """Find who runs it. Raises UnknownKind."""
        if kind not in self.handlers:
            raise _unknown()
        return self.handlers[kind]

    def offer(self, kind: str) -> AnyHandler:
        """Find who would run it for somebody. Raises UnknownKind, for an internal kind too."""
        if kind in self.internal:
            raise _unknown()
        return self.handler(kind)

    def check(self, kind: str, payload: Mapping[str, object]) -> Checked:
        """Raises UnknownKind, or Invalid with the payload's flaws."""
        self.offer(kind)
        return self.payloads.check(kind, payload)

    def checked(self, order: Order) -> Order:
        """Answer the order with its payload checked and the secret fields apart; raises what `check` raises."""
        checked = self.check(order.kind, order.payload)
        return replace(order, payload=checked.payload, secrets=checked.secrets)

    def admit(self, actor: Actor, kind: str) -> None:
        """Raise PermissionMissing unless the actor may enqueue tasks, and this kind."""
        actor.must(CREATE)
        permission = self.offer(kind).permission
        if permission is not None:
            actor.must(permission)


def _unknown() -> UnknownKind:
    return UnknownKind(flaws=[Flaw("/kind", UnknownKind.code, "There is no such kind of task.")])
