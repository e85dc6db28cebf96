"""What a container is able to do, whatever is in it: answer ports, make use cases, open and close its parts."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ParamSpec, TypeVar, cast

import punq

from parlor.adapters.health import Step, asked
from parlor.adapters.observed import observed
from parlor.core.shared.health import Part
from parlor.core.shared.meters import Meters
from parlor.core.shared.spans import Tracer

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class Assembly:
    """Ports with their adapters, and the steps and checks of what must be opened."""

    tracer: Tracer | None = None
    """What begins spans, where traces are exported."""

    def __init__(self) -> None:
        self._ports = punq.Container()
        self._steps: list[tuple[Step, Step]] = []
        self._checks: dict[str, tuple[bool, Step]] = {}
        self.meters = Meters()
        self.add(Meters, self.meters)

    def add(self, port: Any, adapter: object) -> None:
        """Put an adapter behind a port."""
        self._ports.register(port, instance=adapter)

    def opens(self, begin: Step, end: Step) -> None:
        """Run one step at the start, in the order of these calls, and the other at the end, in the opposite one."""
        self._steps.append((begin, end))

    def checks(self, part: str, check: Step, *, needed: bool) -> None:
        """Ask a part how it is by this, in place of what was said before; one that is needed makes us unready."""
        self._checks[part] = (needed, check)

    def check_of(self, part: str) -> Step:
        """Answer what a part is asked by."""
        return self._checks[part][1]

    def get(self, port: type[T]) -> T:
        """Answer the adapter behind a port; raises punq.MissingDependencyError."""
        found: T = self._ports.resolve(port)
        return found

    def build(self, cls: Callable[..., T]) -> T:
        """Make an instance with its ports; a missing one stops the boot."""
        made: T = self._ports.instantiate(cast("type[T]", cls))
        return made

    def command(self, use_case: Callable[..., Callable[P, Awaitable[R]]]) -> Callable[P, Awaitable[R]]:
        """Make a use case: logged and counted once a call, and run again when the database prefers another."""
        return observed(use_case.__name__, self.build(use_case), meters=self.meters, tracer=self.tracer)

    async def start(self) -> None:
        """Open what must be open; a server that is away is waited for in the background."""
        for opened, (begin, _) in enumerate(self._steps):
            try:
                await begin()
            except BaseException:
                await self._end(self._steps[:opened])
                raise

    async def close(self) -> None:
        """Close everything, the last first."""
        await self._end(self._steps)

    async def parts(self) -> Mapping[str, Part]:
        """Ask each part how it is. Never raises."""
        return {
            name: await asked(needed=needed, check=check) for name, (needed, check) in self._checks.items()
        }

    @staticmethod
    async def _end(steps: list[tuple[Step, Step]]) -> None:
        for _, end in reversed(steps):
            await end()
