"""A wall clock that jumps when a test says so, for whatever is started with its settings: libfaketime."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.servers import apt

LIBRARIES = ("usr/lib/*/faketime/libfaketimeMT.so.1", "usr/lib/faketime/libfaketimeMT.so.1")
AN_HOUR = 3600


@dataclass(frozen=True, slots=True)
class WallClock:
    """As far from the true one as a file says. What measures durations is left alone, as by a real jump."""

    library: Path
    file: Path

    @property
    def settings(self) -> Mapping[str, str]:
        return {
            "LD_PRELOAD": str(self.library),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",  # the older name
        }

    def jump_to(self, seconds: int) -> None:
        """Be so far ahead of the true time from now on, or behind it."""
        draft = self.file.with_suffix(".new")
        draft.write_text(f"{seconds:+d}\n")
        draft.chmod(0o644)
        draft.rename(self.file)


def a_wall_clock(folder: Path) -> WallClock:
    """Make one that is right; the folder is opened to a server's own account."""
    if not (found := _library()) and apt.can_install():
        apt.install("faketime")
        found = _library()
    assert found, "The tests of wrong clocks need libfaketime: install the package faketime (Debian, Ubuntu)."
    folder.chmod(0o755)
    clock = WallClock(found[0], folder / "clock")
    clock.jump_to(0)
    return clock


def _library() -> list[Path]:
    return [path for pattern in LIBRARIES for path in Path("/").glob(pattern)]
