"""Secrets of a run, in every guise in which one may slip out."""

import base64
import hashlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field

ALIGNMENTS = 3
SHORTEST = 16


def a_password() -> str:
    """Draw one that JSON, URLs and SQL write differently; its middle reads the same in all of them."""
    return f"é\"' +&{secrets.token_hex(16)}=%/\\"


@dataclass
class Needles:
    """What was secret, by what it was; a guise is looked for as it is written, in any case of letters."""

    guises: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, secret: str) -> str:
        """Remember a secret; answers it."""
        core = max("".join(one if one.isalnum() or one in "-_." else " " for one in secret).split(), key=len)
        assert len(core) >= SHORTEST, name
        for how, text in (*_written(core), *_hashed(secret)):
            self.guises[text.lower()] = f"{name} ({how})"
        return secret

    def add_hash(self, name: str, stored: bytes | str) -> None:
        """Remember what the database keeps instead of a secret."""
        raw = stored if isinstance(stored, bytes) else stored.rpartition("$")[2].encode()
        ways = _bytes(raw) if isinstance(stored, bytes) else _written(raw.decode())
        for how, text in ways:
            self.guises[text.lower()] = f"{name} ({how})"

    def found_in(self, text: str) -> set[str]:
        """Tell what can be read there."""
        lowered = text.lower()
        return {name for guise, name in self.guises.items() if guise in lowered}


def _written(core: str) -> Iterator[tuple[str, str]]:
    """Base64 is another text at each of three places in what surrounds it; its ends depend on the neighbours."""
    yield "plain", core
    yield "hex", core.encode().hex()
    for before in range(ALIGNMENTS):
        for how, encode in (("base64", base64.b64encode), ("base64 for URLs", base64.urlsafe_b64encode)):
            yield how, encode(b"." * before + core.encode()).decode().rstrip("=")[4:-4]


def _hashed(secret: str) -> Iterator[tuple[str, str]]:
    for hashed in (hashlib.sha256, hashlib.sha384):
        yield from _bytes(hashed(secret.encode()).digest())


def _bytes(raw: bytes) -> Iterator[tuple[str, str]]:
    yield "hash in hex", raw.hex()
    yield "hash in base64", base64.b64encode(raw).decode().rstrip("=")
    yield "hash in base64 for URLs", base64.urlsafe_b64encode(raw).decode().rstrip("=")
    yield "hash as Python writes bytes", repr(raw)[2:-1]
