"""Access tokens as JWTs, and the opaque tokens that refresh them."""

import base64
import hashlib
import hmac
import re
from collections.abc import Collection, Mapping, Sequence
from secrets import token_urlsafe
from typing import Any
from uuid import UUID

import jwt
import orjson

from parlor.adapters.security.signing import SigningKey
from parlor.core.identity.model import InvalidToken
from parlor.core.identity.ports import AccessTokens, Claims, FreshToken
from parlor.core.shared.caching import Looks
from parlor.core.shared.clock import Clock
from parlor.core.shared.ids import SessionId, UserId

TYPE = "at+jwt"
LONGEST_TOKEN = 8192
LONGEST_LIFE_S = 3600
# How far another machine's clock may run ahead of ours. There is none on `exp`: what has ended has ended.
LEEWAY_S = 30
REMEMBERED = 10_000

# PyJWT would also take padding, and so one token in several spellings.
_SHAPE = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+){2}")


class JwtAccessTokens:
    """Port AccessTokens: the first (newest) key signs, each verifies. Tokens live `ttl_s`, 1 h at most."""

    def __init__(
        self,
        keys: Sequence[SigningKey],
        *,
        issuer: str,
        audience: str,
        clock: Clock,
        ttl_s: int = 900,
        with_roles: bool = False,
    ) -> None:
        if not 0 < ttl_s <= LONGEST_LIFE_S:
            raise ValueError(f"an access token lives for 1 to {LONGEST_LIFE_S} s, not for {ttl_s}")
        self._newest = keys[0]
        self._keys = {key.kid: key for key in keys}
        self._ours = {"iss": issuer, "aud": audience}
        self._clock = clock
        self._ttl_s = ttl_s
        self._with_roles = with_roles
        self._jws = jwt.PyJWS(options={"enforce_minimum_key_length": True})

    def issue(
        self,
        user_id: UserId,
        session_id: SessionId,
        *,
        epoch: int,
        token_id: UUID,
        roles: Collection[str] = (),
    ) -> FreshToken:
        """Sign a token that lives from now on."""
        now = int(self._clock().timestamp())
        who = {"sub": str(user_id), "sid": str(session_id), "jti": str(token_id), "epoch": epoch}
        held = {"roles": sorted(roles)} if self._with_roles else {}
        claims = self._ours | who | held | {"iat": now, "exp": now + self._ttl_s}
        key = self._newest
        headers = {"typ": TYPE, "kid": key.kid}
        token = self._jws.encode(orjson.dumps(claims), key.signs, key.algorithm, headers)
        return FreshToken(token, self._ttl_s)

    def verify(self, token: str) -> Claims:
        """Read what it says. Raises InvalidToken, whatever is wrong with it."""
        if not _plausible(token):
            raise InvalidToken
        try:
            return self._claims(self._opened(token))
        except (jwt.PyJWTError, ValueError, KeyError) as error:
            raise InvalidToken from error

    def _opened(self, token: str) -> Mapping[str, Any]:
        key = self._key(self._jws.get_unverified_header(token))
        payload = self._jws.decode(token, key.verifies, [key.algorithm])
        claims = orjson.loads(payload)
        if not isinstance(claims, dict):
            raise InvalidToken
        return claims

    def _key(self, header: Mapping[str, Any]) -> SigningKey:
        # The token only chooses among our keys; what each is used with is ours to say.
        key = self._keys.get(header.get("kid", ""))
        if key is None or header.get("typ") != TYPE or "crit" in header:
            raise InvalidToken
        return key

    def _claims(self, claims: Mapping[str, Any]) -> Claims:
        if any(claims[name] != value for name, value in self._ours.items()):
            raise InvalidToken
        self._check_life(claims)
        _uuid(claims, "jti")
        return Claims(
            user_id=UserId(_uuid(claims, "sub")),
            session_id=SessionId(_uuid(claims, "sid")),
            epoch=_whole(claims, "epoch"),
            expires_at=float(_whole(claims, "exp")),
        )

    def _check_life(self, claims: Mapping[str, Any]) -> None:
        begins, ends = _whole(claims, "iat"), _whole(claims, "exp")
        if "nbf" in claims:
            begins = max(begins, _whole(claims, "nbf"))
        now = self._clock().timestamp()
        if begins > now + LEEWAY_S or ends <= now or ends - _whole(claims, "iat") > LONGEST_LIFE_S:
            raise InvalidToken


class RememberedTokens:
    """Port AccessTokens, in front of another: 10,000 tokens, once verified, are believed until they end."""

    def __init__(self, tokens: AccessTokens, *, clock: Clock, capacity: int = REMEMBERED) -> None:
        self._tokens = tokens
        self._clock = clock
        self._capacity = capacity
        self._known: dict[str, Claims] = {}
        self.looks = Looks()

    def issue(
        self,
        user_id: UserId,
        session_id: SessionId,
        *,
        epoch: int,
        token_id: UUID,
        roles: Collection[str] = (),
    ) -> FreshToken:
        """Leave it to the tokens behind."""
        return self._tokens.issue(user_id, session_id, epoch=epoch, token_id=token_id, roles=roles)

    def verify(self, token: str) -> Claims:
        """Recall, or verify. Raises InvalidToken; a refused token is not remembered."""
        known = self._known.get(token)
        if known is None:
            self.looks.missed += 1
            return self._remember(token)
        self.looks.hit += 1
        if known.expires_at <= self._clock().timestamp():
            del self._known[token]
            raise InvalidToken
        return known

    def _remember(self, token: str) -> Claims:
        claims = self._tokens.verify(token)
        if len(self._known) >= self._capacity:
            del self._known[next(iter(self._known))]  # the first in: most have ended when their turn comes
        self._known[token] = claims
        return claims


class DerivedRefreshTokens:
    """Port RefreshTokens: 43 letters of base64url each. The newest secret comes first."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._keys = [_mac(secret.encode(), b"parlor refresh successor v1") for secret in secrets]

    def first(self) -> str:
        """Draw 256 random bits."""
        return token_urlsafe(32)

    def successors(self, presented: str) -> Sequence[str]:
        """Derive by HMAC-SHA-256, under keys of its own: no other use of the secrets yields a token."""
        derived = (_mac(key, _bytes(presented)) for key in self._keys)
        return [base64.urlsafe_b64encode(token).rstrip(b"=").decode() for token in derived]

    def fingerprint(self, token: str) -> bytes:
        """Hash with SHA-256: there is nothing to guess in 256 random bits, so nothing slower is needed."""
        return hashlib.sha256(_bytes(token)).digest()


def _plausible(token: object) -> bool:
    return isinstance(token, str) and len(token) <= LONGEST_TOKEN and _SHAPE.fullmatch(token) is not None


def _mac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")  # whatever was presented is looked up, and not found


def _whole(claims: Mapping[str, Any], name: str) -> int:
    value = claims[name]
    if type(value) is not int:  # a bool is an int to isinstance
        raise InvalidToken
    return value


def _uuid(claims: Mapping[str, Any], name: str) -> UUID:
    value = UUID(claims[name]) if isinstance(claims[name], str) else None
    if value is None or str(value) != claims[name]:  # UUID() also reads braces, URNs and bare digits
        raise InvalidToken
    return value
