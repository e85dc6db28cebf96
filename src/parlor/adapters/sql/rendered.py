"""Rows as JSON, kept under their versions: what PostgreSQL wrote once is the same until the row changes."""

from collections.abc import Mapping, Sequence

LARGEST = 16_384
ID_LENGTH = 36


class Rendered:
    """The JSON of up to 16 MiB of rows, the oldest of which goes first; a row of over 16 KiB is not kept.

    A key is a row's id and version, without anything between: with every change that shows the version is another,
    which is what its entity tag promises clients too. So a kept row is never an old one, and who may see it is not
    asked here: a key comes from a statement whose WHERE is the visibility.
    """

    def __init__(self, *, most_bytes: int = 16_777_216) -> None:
        self._most = most_bytes
        self._bytes = 0
        self._kept: dict[str, bytes] = {}

    def missing(self, keys: Sequence[str]) -> list[str]:
        """Tell the ids of those that have to be read."""
        return [key[:ID_LENGTH] for key in keys if key not in self._kept]

    def rows(self, keys: Sequence[str], read: Mapping[str, str]) -> list[bytes]:
        """Give rows in the order of their keys, and keep what was `read` of them.

        One that has changed since its key was read comes as it is now; one that has gone meanwhile is left out.
        """
        found = {key[:ID_LENGTH]: json.encode() for key, json in read.items()}
        rows = [self._kept.get(key) or found.get(key[:ID_LENGTH]) for key in keys]
        for key in read:
            self._keep(key, found[key[:ID_LENGTH]])
        return [row for row in rows if row is not None]

    def _keep(self, key: str, json: bytes) -> None:
        if len(json) > LARGEST or key in self._kept:
            return
        self._kept[key] = json
        self._bytes += len(json)
        while self._bytes > self._most:
            self._bytes -= len(self._kept.pop(next(iter(self._kept))))
