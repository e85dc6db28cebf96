"""Tries to log in: counted by account, and told to whoever's account it is."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from parlor.core.identity.history import Method, Outcome
from parlor.core.identity.model import Client, InvalidCredentials, sought_key
from parlor.core.identity.throttling import LOGIN_BY_ACCOUNT, REFUSED_LOGIN_BY_ADDRESS, Throttle
from parlor.core.shared.clock import Clock
from parlor.core.shared.errors import TooMany

FAMILIAR_FOR = timedelta(days=30)


class Attempts(Protocol):
    """What is stored about tries to log in, asked by the e-mail key that was tried.

    One that is nobody's costs the same time: it must not tell a stranger which accounts there are.
    """

    async def familiar(self, account: str, client: Client, since: datetime) -> bool:
        """Whether somebody logged in to this account from this network since then."""
        ...

    async def failed(
        self, account: str, outcome: Outcome, client: Client, at: datetime, method: Method = Method.PASSWORD
    ) -> None:
        """Write a line into the account's history; of throttled ones one a minute.

        It does not wait for the disk: a crash of the database may lose the lines of its last second.
        """
        ...


@dataclass(slots=True)
class Attempt:
    """One try that was let in, and what it is called should it fail."""

    outcome: Outcome = Outcome.WRONG_PASSWORD


@dataclass(frozen=True, slots=True)
class LoginGuard:
    """Lets tries in, ten wrong ones and then one after each wait; a right password costs none.

    A network from which the account was entered within 30 days has a bucket of its own, so that strangers do not make
    the owner wait.
    """

    throttle: Throttle
    attempts: Attempts
    clock: Clock

    @asynccontextmanager
    async def letting_in(
        self, account: str, client: Client, method: Method = Method.PASSWORD
    ) -> AsyncGenerator[Attempt]:
        """Count what is done inside, unless it ends otherwise than by InvalidCredentials. Raises TooMany."""
        bucket = await self._bucket(account, client)
        await self._admit(bucket, account, client, method)
        attempt, counts = Attempt(), False
        try:
            yield attempt
        except InvalidCredentials:
            counts = True
            await self.attempts.failed(account, attempt.outcome, client, self.clock(), method)
            raise
        finally:
            if not counts:
                await self.throttle.give_back(LOGIN_BY_ACCOUNT, bucket)

    async def _bucket(self, account: str, client: Client) -> str:
        since = self.clock() - FAMILIAR_FOR
        own = client.network and await self.attempts.familiar(account, client, since)
        return f"{account}\n{client.network}" if own else account

    async def _admit(self, bucket: str, account: str, client: Client, method: Method) -> None:
        try:
            await self.throttle.take(LOGIN_BY_ACCOUNT, bucket)
        except TooMany:
            await self.attempts.failed(account, Outcome.THROTTLED, client, self.clock(), method)
            raise


@dataclass(frozen=True, slots=True)
class NoteRefusedLogin:
    """A login that was refused at the door, for its network had failed too often, is told to whoever it was meant for.

    Raises TooMany beyond 30 a minute of one network, and tells nobody then: refusing must stay cheap.
    """

    throttle: Throttle
    attempts: Attempts
    clock: Clock

    async def __call__(self, *, email: str, client: Client, method: Method = Method.PASSWORD) -> None:
        await self.throttle.take(REFUSED_LOGIN_BY_ADDRESS, client.network)
        await self.attempts.failed(sought_key(email), Outcome.THROTTLED, client, self.clock(), method)
