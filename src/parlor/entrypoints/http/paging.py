"""Pages: how a client asks for one, and the cursor that leads to the next."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from typing import Annotated

import orjson
from fastapi import Query
from starlette.responses import Response

from parlor.core.shared.errors import Flaw, Invalid
from parlor.core.shared.paging import MAX_LIMIT, Key, Page, PageRequest

MAC_BYTES = 16
MAX_CURSOR = 1024

Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="How many items a page holds.")]
Cursor = Annotated[str | None, Query(description="`next_cursor` of the page before.")]


class InvalidCursor(Invalid):
    """This cursor does not come from this list."""

    code = "invalid_cursor"

    def __init__(self) -> None:
        super().__init__(flaws=[Flaw("query:cursor", self.code, "This cursor does not come from this list.")])


class Cursors:
    """Cursors of one list: signed, so that only keys which we gave out come back."""

    def __init__(self, name: str, secrets: Sequence[str]) -> None:
        self._name, self._secrets = name, secrets
        self._keys = [hmac.digest(secret.encode(), f"cursor:{name}".encode(), "sha256") for secret in secrets]

    def of(self, place: object) -> "Cursors":
        """Make those of one of several such lists: what leads on in one chat leads nowhere in another."""
        return Cursors(f"{self._name}:{place}", self._secrets)

    def request(self, limit: int, cursor: str | None) -> PageRequest:
        """Read what a client asks for; raises InvalidCursor."""
        return PageRequest(limit=limit, after=None if cursor is None else self.read(cursor))

    def write(self, key: Key) -> str:
        """Sign with the newest secret."""
        body = orjson.dumps(key)
        return _spelt(_mac(self._keys[0], body) + body)

    def read(self, cursor: str) -> Key:
        """Read a key; raises InvalidCursor unless one of the secrets signed it."""
        try:
            signed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        except (ValueError, binascii.Error):
            raise InvalidCursor from None
        mac, body = signed[:MAC_BYTES], signed[MAC_BYTES:]
        if len(cursor) > MAX_CURSOR or cursor != _spelt(signed):
            raise InvalidCursor  # the last character has bits that nothing reads
        if not any(hmac.compare_digest(mac, _mac(k, body)) for k in self._keys):
            raise InvalidCursor
        return tuple(orjson.loads(body))

    def answer(self, page: Page[bytes]) -> Response:
        """Write a page around the items, which the database has written."""
        following = None if page.next_key is None else self.write(page.next_key)
        body = b'{"items":' + page.items + b',"next_cursor":' + orjson.dumps(following) + b"}"
        return Response(body, media_type="application/json")


def _spelt(signed: bytes) -> str:
    return base64.urlsafe_b64encode(signed).rstrip(b"=").decode()


def _mac(key: bytes, body: bytes) -> bytes:
    return hmac.digest(key, body, hashlib.sha256)[:MAC_BYTES]
