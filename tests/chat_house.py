"""One application over one database for all tests of a file: each makes people and chats of its own."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import pytest

from parlor.adapters.sql import engine
from parlor.adapters.sql.engine import Database
from parlor.container import Container, make_container
from parlor.core.identity.ports import AccessTokens, IdentityWork
from parlor.core.shared.ids import UserId, uuid7
from parlor.core.shared.work import UnitOfWork
from parlor.entrypoints.http.app import make_app
from parlor.wiring.modes import Mode
from tests.builders import a_session, a_user
from tests.databases import drop, execute
from tests.fakes.container import settings_for_tests
from tests.servers.pgbouncer import settings_for
from tests.sql import Sql
from tests.waiting import PATIENCE_S


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who is signed in."""

    id: UserId
    client: httpx.AsyncClient

    async def asks(self, method: str, path: str, body: object = None, **options: Any) -> httpx.Response:
        """Send a request under `/api/v1/chats`."""
        return await self.client.request(method, f"/api/v1/chats{path}", json=body, **options)

    async def gets(self, path: str, **params: Any) -> Any:
        """Read something that is there."""
        answer = await self.asks("GET", path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def opens(self, *others: "Person", **fields: Any) -> str:
        """Open a group; answers its path."""
        ids = [str(other.id) for other in others]
        answer = await self.asks("POST", "", {"kind": "group", "member_ids": ids} | fields)
        assert answer.status_code in {200, 201}, answer.text
        return f"/{answer.json()['id']}"

    async def says(self, chat: str, text: str = "hi", **fields: Any) -> Any:
        """Post a message; answers it."""
        answer = await self.asks("POST", f"{chat}/messages", {"text": text} | fields)
        assert answer.status_code == 201, answer.text
        return answer.json()


@dataclass(frozen=True, slots=True)
class House:
    """The application, and a look into its database."""

    sql: Sql
    container: Container
    transport: httpx.ASGITransport
    guests: AsyncExitStack

    async def person(self, name: str = "Ada", *roles: str) -> Person:
        """Sign somebody new in."""
        user = a_user(display_name=name, roles=frozenset({"user", *roles}))
        session = a_session(user, expires_at=user.created_at.replace(year=2126))
        async with self.container.get(UnitOfWork[IdentityWork])() as work:
            await work.users.add(user)
            await work.sessions.add(user, session)
        tokens = self.container.get(AccessTokens)
        token = tokens.issue(user.id, session.id, epoch=0, token_id=uuid7()).token
        client = httpx.AsyncClient(
            transport=self.transport, base_url="http://test", headers={"Authorization": f"Bearer {token}"}
        )
        return Person(user.id, await self.guests.enter_async_context(client))

    async def people(self, number: int) -> list[Person]:
        """Sign several in."""
        return [await self.person(f"Person {n}") for n in range(number)]


@asynccontextmanager
async def a_house(server_url: str, template: str, **settings: str) -> AsyncIterator[House]:
    """Serve over a database that lasts as long as the block."""
    name = f"parlor_test_{uuid4().hex}"
    await execute(server_url, f"create database {name} template {template} strategy file_copy")
    url = server_url.rpartition("/")[0] + f"/{name}"
    given = settings_for_tests(**settings_for(url), **settings)
    container = make_container(given, mode=Mode.EMBEDDED)
    with pytest.MonkeyPatch.context() as patch:
        _be_patient(patch)
        await container.start()
        try:
            async with AsyncExitStack() as guests:
                transport = httpx.ASGITransport(make_app(container, owns_container=False))
                yield House(Sql(container.get(Database)), container, transport, guests)
        finally:
            await container.close()
            await drop(server_url, name)


def _be_patient(patch: pytest.MonkeyPatch) -> None:
    """That the machine is busy is no test's failure."""
    patch.setattr(engine, "ACQUIRE_S", PATIENCE_S)
    patch.setattr(engine, "CONNECT_S", PATIENCE_S)
    for limit in ("lock_timeout", "statement_timeout"):
        patch.setitem(engine.LIMITS, limit, f"{PATIENCE_S:.0f}s")
