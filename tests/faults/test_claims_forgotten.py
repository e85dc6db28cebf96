"""A database that crashes may forget a claim whose commit did not wait for the disk: the run's message comes again."""

import asyncio
import json
from contextlib import closing
from dataclasses import dataclass, field
from uuid import uuid4

from tests.e2e.test_spine import publish
from tests.faults.services import permit_http_requests
from tests.fleet import Fleet, signed_in
from tests.waiting import eventually

FORGET_CLAIM = """
update tasks set status = 'queued', attempts = attempts - 1, fence = fence - 1, queued_at = clock_timestamp(),
                 lease_until = null, started_at = null where status = 'running' returning id"""
FORGET_BIRTH = "delete from tasks where status = 'running' returning id"


@dataclass
class Held:
    """A service that answers its first caller when the test says so."""

    calls: int = 0
    go: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.calls += 1
        with closing(writer):
            await reader.readuntil(b"\r\n\r\n")
            await self.go.wait()
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok")

    async def serve(self) -> tuple[asyncio.Server, str]:
        server = await asyncio.start_server(self.answer, "127.0.0.1", 0)
        return server, f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def forgotten(fleet: Fleet, held: Held, forget: str) -> None:
    """Undo what the crash would, while the handler runs; then let it end."""
    await eventually(lambda: held.calls == 1)
    async with fleet.database() as database:
        assert len(await database.fetch(forget)) == 1
    held.go.set()
    await eventually(lambda: held.calls == 2)
    async with fleet.database() as database:
        await eventually(
            lambda: database.fetchval("select count(*) = 1 from tasks where status = 'succeeded'")
        )
        assert await database.fetchval("select count(*) from dead_letters") == 0


async def test_a_forgotten_claim_runs_again(fleet: Fleet) -> None:
    fleet.settings["PARLOR_LEASE_S"] = "60"
    held = Held()
    server, place = await held.serve()
    async with server:
        await permit_http_requests(fleet, place)
        api, _ = await fleet.serve(), await fleet.worker()
        async with signed_in(api.base) as me:
            await me.post("/tasks", json={"kind": "http_request", "payload": {"url": f"http://{place}/"}})
        await forgotten(fleet, held, FORGET_CLAIM)


async def test_a_forgotten_birth_runs_again(fleet: Fleet) -> None:
    """Nothing but its message knows of it then."""
    fleet.settings["PARLOR_LEASE_S"] = "60"
    held = Held()
    server, place = await held.serve()
    async with server:
        fleet.settings["PARLOR_HTTP_ALLOW"] = place
        await fleet.worker()
        body = json.dumps({"kind": "http_request", "payload": {"url": f"http://{place}/"}}).encode()
        await asyncio.to_thread(publish, fleet, [(body, {"message_id": str(uuid4())})])
        await forgotten(fleet, held, FORGET_BIRTH)
