"""Server-sent events as a client reads them."""

import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

import httpx


@dataclass(frozen=True, slots=True)
class Block:
    """What stands between two empty lines: an event, a comment, or how long to wait before the next connection."""

    event: str | None = None
    id: int = 0
    data: bytes = b""
    retry: int | None = None

    @property
    def task(self) -> dict[str, Any]:
        read: dict[str, Any] = json.loads(self.data)
        return read


COMMENT = Block()


async def blocks(answer: httpx.Response) -> AsyncGenerator[Block]:
    """Read to the end of the stream; raises httpx.TransportError where it was cut."""
    assert answer.status_code == 200, await answer.aread()
    rest = b""
    async for some in answer.aiter_bytes():
        *whole, rest = (rest + some).split(b"\n\n")
        for block in whole:
            yield _block(block)
    assert rest == b""


async def events(answer: httpx.Response) -> AsyncGenerator[Block]:
    """Read its events alone."""
    async for block in blocks(answer):
        if block.event is not None:
            yield block


def _block(written: bytes) -> Block:
    fields = dict[bytes, bytes]()
    for line in written.split(b"\n"):
        name, _, value = line.partition(b":")
        assert name not in fields, f"one line a field: {written!r}"
        fields[name] = value.removeprefix(b" ")
    assert fields.keys() <= {b"", b"event", b"id", b"data", b"retry"}
    return Block(
        event=fields[b"event"].decode() if b"event" in fields else None,
        id=int(fields.get(b"id", b"0")),
        data=fields.get(b"data", b""),
        retry=int(fields[b"retry"]) if b"retry" in fields else None,
    )
