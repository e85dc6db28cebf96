"""The keys that sign access tokens: shared secrets, and private keys whose public halves may be published."""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import orjson
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from jwt.algorithms import get_default_algorithms

LEAST_RSA_BITS = 2048
# What a thumbprint is made of (RFC 7638, and RFC 8037 for Ed25519).
REQUIRED: Mapping[str, Sequence[str]] = {
    "EC": ("crv", "kty", "x", "y"),
    "OKP": ("crv", "kty", "x"),
    "RSA": ("e", "kty", "n"),
}

_PEM = re.compile(r"-----BEGIN ([A-Z ]*PRIVATE KEY)-----.*?-----END \1-----", re.DOTALL)


class BadKey(ValueError):
    """A private key that cannot be used; the message says which and why, and nothing of what is in it."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key with the one algorithm that it is used with; `kid` tells it from the others, no more.

    `public` is what others may verify by, as a JWK (RFC 7517); a shared secret has none.
    """

    kid: str
    algorithm: str
    signs: Any = field(repr=False)
    verifies: Any = field(repr=False)
    public: Mapping[str, str] | None = None

    @classmethod
    def shared(cls, secret: str) -> Self:
        """Make the HS256 key of a secret (at least 32 bytes, or it neither signs nor verifies)."""
        raw = secret.encode()
        kid = hmac.digest(raw, b"parlor key id v1", "sha256").hex()[:12]
        return cls(kid=kid, algorithm="HS256", signs=raw, verifies=raw)

    @classmethod
    def private(cls, pem: str) -> Self:
        """Read a private key: ES256, EdDSA (Ed25519) or RS256 by what it is. Raises BadKey."""
        private = _loaded(pem)
        algorithm = _algorithm_of(private)
        public = private.public_key()
        jwk = get_default_algorithms()[algorithm].to_jwk(public, as_dict=True)
        told = {name: jwk[name] for name in REQUIRED[jwk["kty"]]}
        kid = _thumbprint(told)
        shown = {**told, "kid": kid, "alg": algorithm, "use": "sig"}
        return cls(kid=kid, algorithm=algorithm, signs=private, verifies=public, public=shown)


def private_keys(text: str) -> list[SigningKey]:
    """Read PEM blocks, in their order, also from one line with escaped line ends. Raises BadKey."""
    text = text.replace("\\n", "\n")
    blocks = [match[0] for match in _PEM.finditer(text)]
    if not blocks:
        raise BadKey("there is no private key in PEM")
    if _PEM.sub("", text).strip(" \t\r\n,"):
        raise BadKey("there is something beside private keys in PEM")
    keys = [_numbered(number, pem) for number, pem in enumerate(blocks, start=1)]
    if len({key.kid for key in keys}) != len(keys):
        raise BadKey("a key stands there twice")
    return keys


def _numbered(number: int, pem: str) -> SigningKey:
    try:
        return SigningKey.private(pem)
    except BadKey as error:
        raise BadKey(f"key {number} {error}") from None


def _loaded(pem: str) -> RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey:
    try:
        private = load_pem_private_key(pem.encode(), password=None)
    except TypeError:
        raise BadKey("is encrypted: give it without a passphrase") from None
    except (ValueError, UnsupportedAlgorithm):
        raise BadKey("cannot be read") from None
    if not isinstance(private, RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey):
        raise BadKey("is neither RSA, nor EC, nor Ed25519")
    return private


def _algorithm_of(private: RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey) -> str:
    if isinstance(private, Ed25519PrivateKey):
        return "EdDSA"
    if isinstance(private, RSAPrivateKey):
        if private.key_size < LEAST_RSA_BITS:
            raise BadKey(f"is RSA of fewer than {LEAST_RSA_BITS} bits")
        return "RS256"
    if not isinstance(private.curve, SECP256R1):
        raise BadKey("is EC on another curve than P-256")
    return "ES256"


def _thumbprint(told: Mapping[str, str]) -> str:
    digest = hashlib.sha256(orjson.dumps(told, option=orjson.OPT_SORT_KEYS)).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
