"""A message's properties as the bytes they came in: nothing is lost on the way to the dead letters.

Decoding all of them, as the library does, fails on what a producer may well send (an id that is not UTF-8, a
time beyond the year 9999), and a failure there costs the connection. Nor can it write what it read: a double
becomes a float, bytes become an error. So the bytes are kept, and only what is asked for is decoded.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Self

from pamqp import decode
from pamqp.common import FieldTable

from parlor.adapters.rabbitmq.frames import short_text

SHORT, TABLE = -1, -4
# In the order of their flags: name, and the length, or how many bytes tell it (negative).
FIELDS = (
    ("content_type", SHORT),
    ("content_encoding", SHORT),
    ("headers", TABLE),
    ("delivery_mode", 1),
    ("priority", 1),
    ("correlation_id", SHORT),
    ("reply_to", SHORT),
    ("expiration", SHORT),
    ("message_id", SHORT),
    ("timestamp", 8),
    ("type", SHORT),
    ("user_id", SHORT),
    ("app_id", SHORT),
    ("cluster_id", SHORT),
)
FLAGS = {name: 1 << 15 - place for place, (name, _) in enumerate(FIELDS)}
PERSISTENT = b"\x02"
EMPTY = bytes(4)  # a table of no bytes
FIXED_SIZES = {
    **dict.fromkeys(b"tbB", 1),
    **dict.fromkeys(b"su", 2),
    **dict.fromkeys(b"Iif", 4),
    **dict.fromkeys(b"lLdT", 8),
    **dict.fromkeys(b"V\0", 0),
    ord("D"): 5,
}
UNREADABLE = (ValueError, ArithmeticError, OSError, RecursionError)


class Properties:
    """The properties that a message has, each as its AMQP encoding."""

    __slots__ = ("_encoded",)

    def __init__(self, encoded: Mapping[str, bytes]) -> None:
        self._encoded = encoded

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Split what follows the body's size in a content header."""
        offset, encoded = 2, {}
        for name, length in _present(int.from_bytes(raw[:2])):
            end = offset + (length if length > 0 else _size(raw, offset, -length))
            encoded[name] = raw[offset:end]
            offset = end
        return cls(encoded)

    def marshal(self) -> bytes:
        """Write them as the bytes of a content header."""
        present = [(FLAGS[name], self._encoded[name]) for name, _ in FIELDS if name in self._encoded]
        return sum(flag for flag, _ in present).to_bytes(2) + b"".join(value for _, value in present)

    def text(self, name: str) -> str | None:
        """Read one of the short texts; what is not UTF-8 is marked in it."""
        encoded = self._encoded.get(name)
        return None if encoded is None else encoded[1:].decode(errors="replace")

    def headers(self) -> FieldTable:
        """Read the headers; a table that no Python values can stand for counts as none."""
        try:
            encoded = self._encoded.get("headers", EMPTY)
            return {} if encoded == EMPTY else decode.field_table(encoded)[1]
        except UNREADABLE:
            return {}

    def header(self, name: str) -> bytes | None:
        """Answer one header's value as its AMQP encoding, whatever the others are."""
        key = name.encode()
        return next((raw[1 + len(key) :] for each, raw in self._entries() if each == key), None)

    def header_text(self, name: str) -> str | None:
        """Read one header that is a text."""
        value = self.header(name)
        return value[5:].decode(errors="replace") if value is not None and value[:1] == b"S" else None

    def without(self, *names: str) -> "Properties":
        """Leave some of them out."""
        return Properties({name: value for name, value in self._encoded.items() if name not in names})

    def with_texts(self, texts: Mapping[str, str]) -> "Properties":
        """Set some of the short texts."""
        return Properties({**self._encoded, **{name: short_text(text) for name, text in texts.items()}})

    def with_headers(self, keeps: Callable[[str], bool]) -> "Properties":
        """Leave out the other headers; where none is left there is no table either."""
        kept = [raw for key, raw in self._entries() if keeps(key.decode(errors="replace"))]
        return Properties({**self._encoded, "headers": table({}, *kept)}) if kept else self.without("headers")

    def stamped(self, dropped: tuple[bytes, ...], headers: Mapping[str, str]) -> "Properties":
        """Put these headers in the place of all that begin so; the others keep their bytes."""
        kept = [entry for key, entry in self._entries() if not key.startswith(dropped)]
        return Properties({**self._encoded, "headers": table(headers, *kept)})

    def _entries(self) -> Iterator[tuple[bytes, bytes]]:
        raw = self._encoded.get("headers", b"")
        offset = 4
        while offset < len(raw):
            value_at = offset + 1 + raw[offset]
            end = value_at + 1 + _value_size(raw, value_at)
            yield raw[offset + 1 : value_at], raw[offset:end]
            offset = end


@lru_cache(maxsize=256)
def _present(flags: int) -> tuple[tuple[str, int], ...]:
    """Answer the fields that these flags announce; a producer sets the same ones again and again."""
    return tuple((name, length) for name, length in FIELDS if flags & FLAGS[name])


def table(headers: Mapping[str, str], *entries: bytes) -> bytes:
    """Write a table of texts, after entries that are written already."""
    content = b"".join([*entries, *(text_entry(key, text) for key, text in headers.items())])
    return len(content).to_bytes(4) + content


def entry(key: str, value: bytes) -> bytes:
    """Write one entry of a table; `value` begins with its type."""
    return _key(key) + value


def text_entry(key: str, text: str) -> bytes:
    """Write one entry that is a text."""
    return entry(key, b"S" + long_text(text))


@lru_cache(maxsize=1024)
def _key(name: str) -> bytes:
    return short_text(name)


def long_text(text: str) -> bytes:
    """Write a text of any length."""
    raw = text.encode()
    return len(raw).to_bytes(4) + raw


def _size(raw: bytes, offset: int, width: int) -> int:
    return width + int.from_bytes(raw[offset : offset + width])


def _value_size(raw: bytes, at: int) -> int:
    fixed = FIXED_SIZES.get(raw[at])
    return _size(raw, at + 1, 4) if fixed is None else fixed
