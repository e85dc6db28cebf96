"""A clock, and a forger who knows the secret: tokens that are good, or nearly."""

import base64
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from parlor.adapters.security.signing import SigningKey
from parlor.adapters.security.tokens import JwtAccessTokens
from parlor.core.identity.ports import AccessTokens
from parlor.core.shared.ids import SessionId, UserId

# Long enough for HS512 too: it must be refused for not being HS256.
SECRET, OLDER, FOREIGN = ("newest secret " * 5), ("older secret " * 5), ("nobody's secret " * 5)
ISSUER, AUDIENCE = "https://parlor.example", "parlor"
START = datetime(2026, 1, 1, 12, tzinfo=UTC)
# Fixed: they are part of some tests' names, which all workers must agree on.
USER = UserId(UUID("0190a000-0000-7000-8000-00000000000a"))
SESSION = SessionId(UUID("0190a000-0000-7000-8000-00000000000b"))
TOKEN = UUID("0190a000-0000-7000-8000-00000000000c")


class Watch:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def move(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def tokens_of(watch: Watch, *secrets: str, **settings: Any) -> JwtAccessTokens:
    ours: dict[str, Any] = {"issuer": ISSUER, "audience": AUDIENCE, "clock": watch} | settings
    return JwtAccessTokens([SigningKey.shared(secret) for secret in secrets or (SECRET,)], **ours)


def issued(tokens: AccessTokens, epoch: int = 7) -> str:
    return tokens.issue(USER, SESSION, epoch=epoch, token_id=TOKEN).token


def segment(part: object) -> str:
    raw = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def header(**changes: object) -> dict[str, object]:
    """Build the header of a good token, or nearly; a None leaves the field out."""
    good = {"alg": "HS256", "typ": "at+jwt", "kid": SigningKey.shared(SECRET).kid}
    return {name: value for name, value in (good | changes).items() if value is not None}


def claims(**changes: object) -> dict[str, object]:
    """Build the claims of a good token, or nearly; a None leaves the claim out."""
    now = int(START.timestamp())
    good = {"iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + 900, "epoch": 7}
    good |= {"sub": str(USER), "sid": str(SESSION), "jti": str(TOKEN)}
    return {name: value for name, value in (good | changes).items() if value is not None}


def forged(head: object, body: object, secret: str = SECRET, digest: str = "sha256") -> str:
    """Sign anything, as somebody who knows the secret could."""
    signed = f"{segment(head)}.{segment(body)}"
    return f"{signed}.{segment(hmac.digest(secret.encode(), signed.encode(), digest))}"
