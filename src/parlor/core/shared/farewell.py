"""A user's departure: what each context does about it, once the account is gone."""

from typing import Protocol

from parlor.core.shared.ids import UserId


class Farewell(Protocol):
    """One context's part in a user's departure. It is called after the account was disabled and anonymised.

    Idempotent, and in bounded batches, each a transaction of its own: it may be stopped between any two of them, and
    is then called again from the start, until it has once come to its end.
    """

    async def __call__(self, user_id: UserId) -> None: ...
