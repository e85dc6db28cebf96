"""Lets ports of this container lead to other servers of its network: `forward.py 5432=db:5432 …`."""  # noqa: INP001 - a script

import asyncio
import sys
from asyncio import StreamReader, StreamWriter
from contextlib import suppress

CHUNK = 65_536


async def main(routes: list[str]) -> None:
    """Listen on every port, for ever."""
    async with asyncio.TaskGroup() as group:
        for route in routes:
            port, _, target = route.partition("=")
            group.create_task(forward(int(port), *target.split(":")))


async def forward(port: int, host: str, there: str) -> None:
    """Give each connection to `port` one to the target."""

    async def carry(reader: StreamReader, writer: StreamWriter) -> None:
        try:
            to_reader, to_writer = await asyncio.open_connection(host, int(there))
        except OSError as error:
            print(f"{host}:{there}: {error}", file=sys.stderr, flush=True)  # noqa: T201 - its only log
            writer.close()
            return
        await asyncio.gather(pump(reader, to_writer), pump(to_reader, writer))

    server = await asyncio.start_server(carry, "0.0.0.0", port)  # noqa: S104 - Docker decides who reaches it
    await server.serve_forever()


async def pump(reader: StreamReader, writer: StreamWriter) -> None:
    """Carry one direction, to its end."""
    with suppress(OSError):
        while chunk := await reader.read(CHUNK):
            writer.write(chunk)
            await writer.drain()
    writer.close()


asyncio.run(main(sys.argv[1:]))
