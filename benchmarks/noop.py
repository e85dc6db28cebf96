"""A kind of task that does nothing, and the container that knows it."""

from dataclasses import dataclass
from typing import ClassVar

from parlor import container
from parlor.config import Settings
from parlor.container import Container
from parlor.core.shared.handling import Context


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


def make_container(settings: Settings) -> Container:
    """Wire an API process that knows this kind too."""
    return container.make_container(settings, handlers=[Noop()])
