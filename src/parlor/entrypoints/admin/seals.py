"""Texts that a browser keeps for us, and brings back as they were given out."""

import base64
import binascii
import hmac
from collections.abc import Sequence
from typing import Any

import orjson

MAC_BYTES = 32
MOST = 4096  # no browser keeps a larger cookie


class Seals:
    """HMAC-SHA-256 under keys made of the server's secrets for one purpose: the newest signs, all verify."""

    def __init__(self, purpose: str, secrets: Sequence[str]) -> None:
        self._keys = [
            hmac.digest(secret.encode(), f"console:{purpose}".encode(), "sha256") for secret in secrets
        ]

    def seal(self, value: object) -> str:
        """Write a value of JSON, readable by whoever holds it."""
        body = orjson.dumps(value)
        return _spelt(hmac.digest(self._keys[0], body, "sha256") + body)

    def open(self, text: str | None) -> Any:
        """Read it back; None for what was not sealed here, for this."""
        if text is None or len(text) > MOST:
            return None
        try:
            sealed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (ValueError, binascii.Error):
            return None
        mac, body = sealed[:MAC_BYTES], sealed[MAC_BYTES:]
        genuine = any(hmac.compare_digest(mac, hmac.digest(key, body, "sha256")) for key in self._keys)
        return orjson.loads(body) if genuine else None

    def mark(self, value: str) -> str:
        """Make what only we can make of this value."""
        return _spelt(hmac.digest(self._keys[0], value.encode(), "sha256"))

    def marked(self, value: str, mark: str) -> bool:
        """Whether the mark is of this value, under any of the keys."""
        shown = mark.encode("utf-8", "replace")
        marks = (_spelt(hmac.digest(key, value.encode(), "sha256")).encode() for key in self._keys)
        return any(hmac.compare_digest(shown, one) for one in marks)


def _spelt(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
