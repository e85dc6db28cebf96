"""A user's own copy of what is kept about them: what each context has to add to it."""

from collections.abc import AsyncIterator
from typing import Protocol

from parlor.core.shared.ids import UserId


class ExportSection(Protocol):
    """What one context keeps about a user, under a name of its own. Never a hash, a token or a secret field."""

    @property
    def name(self) -> str: ...

    def __call__(self, user_id: UserId) -> AsyncIterator[bytes]:
        """Give one JSON value in pieces, as they are read: a page at a time, and no connection held in between."""
        ...
