"""Server-sent events, as far as Parlor sends them."""

from collections.abc import AsyncGenerator

import httpx

from parlor.client.errors import Unreachable

SILENCE_S = 45.0  # the server says something at least every 15 s
MAX_EVENT_BYTES = 8 * 1024 * 1024


async def events(answer: httpx.Response) -> AsyncGenerator[bytes]:
    """Give the data of each event; comments are skipped.

    Bytes are split at line feeds only: what text libraries take for line ends too (U+2028) may stand in JSON.
    """
    rest = b""
    async for some in answer.aiter_bytes():
        *whole, rest = (rest + some).split(b"\n\n")
        for event in whole:
            data = [line[5:].removeprefix(b" ") for line in event.split(b"\n") if line.startswith(b"data:")]
            if data:
                yield b"\n".join(data)
        if len(rest) > MAX_EVENT_BYTES:
            raise Unreachable("an event without an end")
