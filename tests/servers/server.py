"""What tests hold: one server of their own, to use, stop, kill and freeze."""

from types import TracebackType
from typing import Protocol, Self


class Program(Protocol):
    """A server that this machine can run, whatever it runs in."""

    @property
    def url(self) -> str:
        """Where clients find it, the same after every start."""
        ...

    @property
    def origin(self) -> str:
        """What it is started from."""
        ...

    def start(self) -> None:
        """Come back when clients are answered."""
        ...

    def stop(self) -> None: ...
    def kill(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...

    def close(self) -> None:
        """End it and leave nothing, neither a process nor a file."""
        ...


class Server:
    """`with Redis() as redis:` and its like. What blocks may be called from a thread."""

    def __init__(self, program: Program) -> None:
        self._program = program

    @property
    def url(self) -> str:
        return self._program.url

    @property
    def origin(self) -> str:
        return self._program.origin

    def start(self) -> None:
        """Start it on the port and the data of the last time."""
        self._program.start()

    def stop(self) -> None:
        """Let it end in good order; the data stays for the next start."""
        self._program.stop()

    def restart(self) -> None:
        self.stop()
        self.start()

    def kill(self) -> None:
        """End it as a crash would."""
        self._program.kill()

    def pause(self) -> None:
        """Let it hang: connections stay open, and nobody answers."""
        self._program.pause()

    def resume(self) -> None:
        self._program.resume()

    def close(self) -> None:
        self._program.close()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
