"""A kind of task that does nothing, and the container that knows it."""

from dataclasses import dataclass
from typing import ClassVar

from parlor.config import Settings
from parlor.container import Container, Mode, Role
from parlor.core.shared.handling import Context
from parlor.core.tasks.ports import AnyHandler


@dataclass(frozen=True, slots=True)
class Numbered:
    """Any number."""

    number: int


@dataclass(frozen=True, slots=True)
class Echo:
    """The same number."""

    echo: int


class Noop:
    """Answers with what it was given."""

    kind: ClassVar[str] = "noop"
    permission: ClassVar[str | None] = None

    async def __call__(self, payload: Numbered, context: Context) -> Echo:  # noqa: ARG002 - the port's signature
        return Echo(payload.number)


class NoopContainer(Container):
    """Parlor's container, with one kind more."""

    def _handlers(self) -> list[AnyHandler]:
        return [*super()._handlers(), Noop()]


def make_container(settings: Settings, *, mode: Mode = Mode.SERVICES, role: Role = Role.API) -> Container:
    """Stand in for the container's own."""
    return NoopContainer(settings, mode=mode, role=role)
