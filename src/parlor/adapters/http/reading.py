"""Reading what a stranger answers: never more than asked for, and only text that a database can keep."""

import codecs
import re
import zlib
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import cast

import httpcore

MAX_BODY = 64 * 1024
# Packing adds a little to what does not shrink.
MAX_WIRE = MAX_BODY + 1024
MAX_HEADERS = 100
MAX_HEAD = 16 * 1024
GZIP_OR_ZLIB = 47

_REPLACEMENT = "\ufffd"
# jsonb refuses NUL and lone surrogates; the other control characters would grow sixfold in JSON.
_UNSAFE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")
# Named one by one: some of Python's codecs are slow, some fail, and it remembers every name it looked for.
_CHARSET = re.compile(
    r"charset\s*=\s*\"?(utf-?8|utf-16(?:le|be)?|us-ascii|iso-8859-(?:[1-9]|1[013-6])|windows-125[0-8]"
    r"|koi8-[ru]|shift_jis|euc-(?:jp|kr)|gb2312|gbk|gb18030|big5)(?![\w-])",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Body:
    """An answer's body as text, and whether there was more of it."""

    text: str
    truncated: bool


def read_headers(raw: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    """Read as many headers as there is room for; values of one name are joined by commas."""
    headers: dict[str, str] = {}
    room = MAX_HEAD
    for name, value in raw[:MAX_HEADERS]:
        key, text = name.decode("ascii", "replace").lower(), safe(value.decode("utf-8", "replace"))
        room -= len(key) + len(text.encode())
        if room < 0:
            break
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers


async def read_body(response: httpcore.Response, headers: dict[str, str]) -> Body:
    """Read at most 64 KiB, counted after unpacking, and leave the rest on the wire."""
    raw, truncated = await _read(response, headers.get("content-encoding", "").strip().lower())
    text = as_text(raw, headers.get("content-type", ""), final=not truncated)
    written = text.encode()
    if len(written) <= MAX_BODY:
        return Body(text, truncated)
    return Body(written[:MAX_BODY].decode(errors="ignore"), truncated=True)


def as_text(raw: bytes, content_type: str, *, final: bool = True) -> str:
    """Decode by the charset that the content type names, else as UTF-8; a cut loses its half character."""
    named = _CHARSET.search(content_type)
    decoder = codecs.getincrementaldecoder(named[1] if named else "utf-8")("replace")
    return safe(decoder.decode(raw, final))


def safe(text: str) -> str:
    """Replace what PostgreSQL's jsonb refuses."""
    return _UNSAFE.sub(_REPLACEMENT, text)


async def _read(response: httpcore.Response, encoding: str) -> tuple[bytes, bool]:
    unpack = _unpacking(encoding)
    body, wire = bytearray(), 0
    stream = cast("AsyncGenerator[bytes, None]", response.aiter_stream())
    async with aclosing(stream) as chunks:  # left early, it must close now and not at some collection
        async for chunk in chunks:
            wire += len(chunk)
            try:
                body += unpack(chunk, MAX_BODY + 1 - len(body))
            except zlib.error:
                return bytes(body), True
            if len(body) > MAX_BODY or wire > MAX_WIRE:
                return bytes(body[:MAX_BODY]), True
    return bytes(body), False


def _unpacking(encoding: str) -> Callable[[bytes, int], bytes]:
    """Answer how to unpack a chunk into at most so many bytes: a bomb is defused by never asking for more."""
    if encoding in {"gzip", "x-gzip", "deflate"}:
        return zlib.decompressobj(wbits=GZIP_OR_ZLIB).decompress
    return lambda chunk, most: chunk[:most]
