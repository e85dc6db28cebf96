"""A session: its tokens, and one refresh at a time, whoever asks for it."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Self

from parlor.client.errors import Problem, SignedOut

MARGIN_S = 30.0  # refresh so long before the access token ends, or after nine tenths of a short life

OnTokens = Callable[["Tokens | None"], Awaitable[None] | None]


@dataclass(frozen=True, slots=True)
class Tokens:
    """A token pair, and when to take the next (seconds since 1970): plain values, to be kept and given back."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    refresh_at: float

    @classmethod
    def of(cls, pair: dict[str, Any]) -> Self:
        """Read a `TokenPair` that has just come."""
        life: float = pair["expires_in"]
        good_for = max(life - MARGIN_S, life * 0.9)
        return cls(pair["access_token"], pair["refresh_token"], time.time() + good_for)


class Session:
    """Gives out access tokens that work.

    Each refresh token is good once; its successor is kept (`on_tokens`) before anybody uses it. Where the answer to a
    refresh is lost, the same token brings the same successor for the server's grace (20 s), and never afterwards.
    """

    def __init__(
        self,
        refresh: Callable[[str], Awaitable[dict[str, Any]]],
        tokens: Tokens | None,
        on_tokens: OnTokens | None,
    ) -> None:
        self.tokens = tokens
        self._ask = refresh
        self._on_tokens = on_tokens
        self._refreshing: asyncio.Task[Tokens] | None = None

    async def access_token(self, *, refused: str | None = None) -> str:
        """Give a token other than the one that the server has refused. Raises SignedOut, Unreachable, Problem."""
        tokens = self.tokens
        if tokens is None:
            raise SignedOut("log in first")
        if tokens.access_token == refused or time.time() > tokens.refresh_at:
            tokens = await self.refresh()
        return tokens.access_token

    async def refresh(self) -> Tokens:
        """Take the next pair: one request, however many wait for it; a caller that gives up does not end it."""
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = asyncio.create_task(self._refresh())
        return await asyncio.shield(self._refreshing)

    async def keep(self, tokens: Tokens | None) -> None:
        """Go on with these tokens, or with none, and tell who keeps them."""
        self.tokens = tokens
        if self._on_tokens is not None:
            told = self._on_tokens(tokens)
            if inspect.isawaitable(told):
                await told

    async def close(self) -> None:
        """Wait for a refresh that is on its way: its answer must not be lost."""
        if self._refreshing is not None:
            await asyncio.wait({self._refreshing})

    async def _refresh(self) -> Tokens:
        if self.tokens is None:
            raise SignedOut("log in first")
        try:
            tokens = Tokens.of(await self._ask(self.tokens.refresh_token))
        except Problem as problem:
            if problem.code != "invalid_grant":
                raise
            await self.keep(None)
            raise SignedOut("the session has ended: log in again") from problem
        await self.keep(tokens)
        return tokens
