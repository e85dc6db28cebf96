"""Many people at once: signed in without a password having been hashed for each of them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from parlor.adapters.security.signing import SigningKey
from parlor.adapters.security.tokens import JwtAccessTokens
from parlor.adapters.sql.engine import Database
from parlor.core.shared.clock import system_clock
from parlor.core.shared.ids import UserId, uuid7
from parlor.wiring.identity import AUDIENCE
from tests.builders import a_session, a_user
from tests.fleet import NO_TLS, Fleet
from tests.sql import Sql


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with an account, and a client that sends their token to one of the processes."""

    id: UserId
    http: httpx.AsyncClient
    headers: dict[str, str]

    async def ask(
        self, method: str, path: str, *, key: str | None = None, tag: str | None = None, **given: Any
    ) -> httpx.Response:
        """Send a request, with an idempotency key or an entity tag where one is given."""
        more = {"Idempotency-Key": key, "If-Match": tag}
        headers = (
            self.headers
            | given.pop("headers", {})
            | {name: value for name, value in more.items() if value is not None}
        )
        return await self.http.request(method, path, headers=headers, **given)


@asynccontextmanager
async def people(
    fleet: Fleet, number: int, *, roles: frozenset[str] = frozenset({"user"})
) -> AsyncIterator[list[Person]]:
    """Sign people in, in turn at each API process of the fleet."""
    tokens = JwtAccessTokens(
        [SigningKey.shared(fleet.environment["SECURITY_SECRET_KEY"])],
        issuer=AUDIENCE,
        audience=AUDIENCE,
        clock=system_clock,
        ttl_s=900,
    )
    database = Database(fleet.database_url, size=1, name="tests")
    await database.open()
    made: list[Person] = []
    clients = [
        httpx.AsyncClient(base_url=f"{one.base}/api/v1", trust_env=False, verify=NO_TLS, timeout=40)
        for one in fleet.started
    ]
    try:
        async with Sql(database).work() as work:
            for place in range(number):
                user = a_user(roles=roles)
                session = a_session(user)
                await work.users.add(user)
                await work.sessions.add(user, session)
                token = tokens.issue(user.id, session.id, epoch=user.epoch, token_id=uuid7()).token
                headers = {"Authorization": f"Bearer {token}"}
                made.append(Person(user.id, clients[place % len(clients)], headers))
        yield made
    finally:
        await database.close()
        for client in clients:
            await client.aclose()
