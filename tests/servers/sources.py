"""Where a server comes from: this machine, Docker, or else the system's packages."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from tests.servers import apt, docker
from tests.servers.server import Program

P = TypeVar("P", bound=Program)


class NoServer(Exception):
    """No way to a server that tests need; the message names what is missing."""


@dataclass(frozen=True, slots=True)
class Recipe(Generic[P]):
    """The ways to one kind of server."""

    name: str
    variable: str
    package: str
    local: Callable[[], P | None]
    container: Callable[[], P]


def choose(recipe: Recipe[P]) -> P:
    """Take the first way that works."""
    if (program := recipe.local()) is not None:
        return program
    if docker.answers():
        return recipe.container()
    if apt.can_install():
        apt.install(recipe.package)
        if (program := recipe.local()) is not None:
            return program
    raise NoServer(
        f"The tests need {recipe.name}: install it (the package {recipe.package} on Debian and Ubuntu), "
        f"start Docker, or set {recipe.variable} to a server of yours."
    )
