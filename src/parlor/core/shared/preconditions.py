"""What a caller knows of a thing that it is about to change."""

from dataclasses import dataclass

from parlor.core.shared.errors import Stale


@dataclass(frozen=True, slots=True)
class Expected:
    """The versions that a caller is ready to change; None is any."""

    versions: frozenset[int] | None = None

    def must_be(self, version: int) -> None:
        """Raise Stale unless the version is one of them."""
        if self.versions is not None and version not in self.versions:
            raise Stale


ANY_VERSION = Expected()
