"""The body as bytes: how much of it is taken, and how long we wait for it."""

import asyncio

from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive

from parlor.entrypoints.http.call import Call
from parlor.entrypoints.http.errors import BodyTooLarge, RequestTimeout, UnsupportedMediaType

JSON = "application/json"
WAITS = 6  # of one gap: what a body may take beside its size
SLOWEST_BYTES_S = 1024


class LimitedBody:
    """Receives a body up to a size, with a deadline from byte to byte, and one for all of it."""

    __slots__ = ("_complete", "_idle_s", "_left", "_receive", "_too_large", "_until")

    def __init__(self, receive: Receive, call: Call, *, max_bytes: int, idle_s: float) -> None:
        announced = call.headers.get(b"content-length", b"0")
        self._too_large = announced.isdigit() and int(announced) > max_bytes
        self._receive = receive
        self._left = max_bytes
        self._idle_s = idle_s
        self._until = asyncio.get_running_loop().time() + WAITS * idle_s
        self._complete = False

    async def receive(self) -> Message:
        """Receive; raises RequestTimeout, and BodyTooLarge: at once where the size is announced."""
        if self._complete:
            return await self._receive()
        if self._too_large:
            raise BodyTooLarge
        message = await self._next()
        size = len(message.get("body", b""))
        self._until += size / SLOWEST_BYTES_S
        self._left -= size
        self._too_large = self._left < 0
        if self._too_large:
            raise BodyTooLarge
        self._complete = not message.get("more_body", False)
        return message

    async def _next(self) -> Message:
        gap = asyncio.get_running_loop().time() + self._idle_s
        try:
            async with asyncio.timeout_at(min(gap, self._until)):
                return await self._receive()
        except TimeoutError:
            raise RequestTimeout from None


async def read_body(receive: Receive) -> bytes:
    """Read all of it. Raises ClientDisconnect where the client gave up."""
    chunks: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(chunks) if len(chunks) > 1 else chunks[0]


def must_be_plain(call: Call) -> None:
    """Raise UnsupportedMediaType where the headers name an encoding."""
    if b"content-encoding" in call.headers:
        raise UnsupportedMediaType


def must_be_json(call: Call) -> None:
    """Raise UnsupportedMediaType unless the headers say JSON in UTF-8, as it is."""
    must_be_plain(call)
    media, utf8 = media_type(call)
    if media != JSON or not utf8:
        raise UnsupportedMediaType


def media_type(call: Call) -> tuple[str, bool]:
    """Read what the headers say of the body: its type, and whether it is in UTF-8."""
    media, _, parameters = call.headers.get(b"content-type", b"").lower().partition(b";")
    return media.strip().decode("latin-1"), _utf8(parameters)


def _utf8(parameters: bytes) -> bool:
    charsets = [p.partition(b"=")[2].strip(b' "') for p in parameters.split(b";") if b"charset" in p]
    return all(charset == b"utf-8" for charset in charsets)
