"""The whole API in this process: a real server and a real database, so that a test can reach into both."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import uvicorn

from parlor.container import Container, make_container
from parlor.entrypoints.http.app import make_app
from parlor.entrypoints.http.server import bind, make_server, serve_quietly
from parlor.wiring.modes import Mode
from tests.fakes.container import settings_for_tests
from tests.servers.pgbouncer import settings_for
from tests.waiting import PATIENCE_S, eventually


@dataclass(frozen=True, slots=True)
class Api:
    """One server; `base` is where it answers."""

    base: str
    container: Container
    server: uvicorn.Server
    serving: asyncio.Task[None]

    async def stop(self) -> None:
        """End it as a supervisor would, and wait for it."""
        self.server.should_exit = True
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.shield(self.serving)


@asynccontextmanager
async def an_api(database_url: str, **settings: str) -> AsyncIterator[Api]:
    """Serve over this database; cache and feed are in process."""
    given = settings_for_tests(**settings_for(database_url), PARLOR_BCRYPT_COST="4", **settings)
    container = make_container(given, mode=Mode.EMBEDDED)
    listener = bind("127.0.0.1", 0)
    server = make_server(make_app(container), given)
    serving = asyncio.create_task(serve_quietly(server, [listener]))
    api = Api(f"http://127.0.0.1:{listener.getsockname()[1]}", container, server, serving)
    try:
        await eventually(lambda: server.started or serving.done())
        yield api
    finally:
        await api.stop()
