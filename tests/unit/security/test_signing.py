"""Private keys: what signs, what is published of it, and what an attacker makes of the public half."""

import base64
import hmac
import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from parlor.adapters.security.signing import BadKey, SigningKey, private_keys
from parlor.adapters.security.tokens import JwtAccessTokens
from parlor.core.identity.model import InvalidToken
from tests.unit.security.forging import (
    AUDIENCE,
    ISSUER,
    SECRET,
    USER,
    Watch,
    claims,
    forged,
    header,
    issued,
    segment,
)

ALGORITHMS = ("ES256", "EdDSA", "RS256")


DRAWS: Mapping[str, Callable[[], Any]] = {
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
    "RS256": lambda: rsa.generate_private_key(65537, 2048),
    "short RSA": lambda: rsa.generate_private_key(65537, 1024),  # noqa: S505 - to be refused
    "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "Ed448": ed448.Ed448PrivateKey.generate,
    "DSA": lambda: dsa.generate_private_key(1024),  # noqa: S505 - to be refused
}


@cache
def drawn(kind: str, copy: int) -> Any:
    """Draw a private key, once for all tests."""
    assert copy >= 0
    return DRAWS[kind]()


def pem(kind: str, copy: int = 0) -> str:
    raw: bytes = drawn(kind, copy).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return raw.decode()


def public_pem(kind: str) -> str:
    raw: bytes = drawn(kind, 0).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return raw.decode()


def tokens_of(watch: Watch, *keys: SigningKey) -> JwtAccessTokens:
    return JwtAccessTokens(keys, issuer=ISSUER, audience=AUDIENCE, clock=watch)


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture(params=ALGORITHMS)
def algorithm(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def key(algorithm: str) -> SigningKey:
    return SigningKey.private(pem(algorithm))


def test_what_a_private_key_signs_is_verified_by_what_is_published(
    watch: Watch, key: SigningKey, algorithm: str
) -> None:
    """By another library's eyes: PyJWT's own, that knows the published key and nothing else."""
    token = issued(tokens_of(watch, key))
    assert tokens_of(watch, key).verify(token).user_id == USER
    published = jwt.PyJWK(json.loads(json.dumps(key.public)))
    read = jwt.decode(
        token,
        published.key,
        [algorithm],
        audience=AUDIENCE,
        issuer=ISSUER,
        options={"verify_exp": False, "verify_iat": False},
    )
    assert read == claims()
    assert jwt.get_unverified_header(token) == {"alg": algorithm, "typ": "at+jwt", "kid": key.kid}


def test_only_public_parts_are_published(key: SigningKey, algorithm: str) -> None:
    assert key.public is not None
    own = {"ES256": {"crv", "x", "y"}, "EdDSA": {"crv", "x"}, "RS256": {"n", "e"}}[algorithm]
    assert set(key.public) == own | {"kty", "kid", "alg", "use"}
    assert (key.public["alg"], key.public["use"], key.public["kid"]) == (algorithm, "sig", key.kid)
    assert SigningKey.shared(SECRET).public is None


def test_a_keys_id_is_the_thumbprint_of_rfc_7638() -> None:
    """RFC 8037, appendix A: the key, and the thumbprint that it must have."""
    secret = base64.urlsafe_b64decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=")
    private = ed25519.Ed25519PrivateKey.from_private_bytes(secret)
    text = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    assert SigningKey.private(text).kid == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_a_key_does_not_show_itself(key: SigningKey) -> None:
    assert "PRIVATE" not in repr(key)
    assert set(repr(key.public)) & set("\n") == set()


# Rolling over


def test_the_newest_key_signs_and_the_others_verify(watch: Watch) -> None:
    old = SigningKey.private(pem("ES256", 1))
    new = SigningKey.private(pem("ES256"))
    before = issued(tokens_of(watch, old))
    rolled = tokens_of(watch, new, old)
    assert rolled.verify(before).user_id == USER
    assert jwt.get_unverified_header(issued(rolled))["kid"] == new.kid
    with pytest.raises(InvalidToken):
        tokens_of(watch, new).verify(before)


def test_who_introduces_private_keys_logs_nobody_out(watch: Watch, key: SigningKey) -> None:
    secret = SigningKey.shared(SECRET)
    before = issued(tokens_of(watch, secret))
    rolled = tokens_of(watch, key, secret)
    assert rolled.verify(before).user_id == USER
    assert rolled.verify(issued(rolled)).user_id == USER
    with pytest.raises(InvalidToken):
        tokens_of(watch, secret).verify(issued(rolled))


# What an attacker tries


def shapes(key: SigningKey, algorithm: str) -> Mapping[str, bytes]:
    """Every form in which somebody may have the public key."""
    public = drawn(algorithm, 0).public_key()
    assert SigningKey.private(pem(algorithm)).kid == key.kid
    return {
        "pem": public_pem(algorithm).encode(),
        "pem without its last line end": public_pem(algorithm).strip().encode(),
        "der": public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "jwk": json.dumps(key.public).encode(),
        "kid": key.kid.encode(),
        "nothing": b"",
    }


@pytest.mark.parametrize("alg", ["HS256", "HS512", "none", "ES256", "RS256", "EdDSA"])
def test_an_hmac_keyed_with_the_public_key_is_no_signature(
    watch: Watch, key: SigningKey, algorithm: str, alg: str
) -> None:
    """Whatever algorithm it claims, with our secret configured beside it, and under either key's id."""
    tokens = tokens_of(watch, key, SigningKey.shared(SECRET))
    for shape in shapes(key, algorithm).values():
        for kid in (key.kid, SigningKey.shared(SECRET).kid):
            signed = f"{segment(header(alg=alg, kid=kid))}.{segment(claims())}"
            forgery = f"{signed}.{segment(hmac.digest(shape, signed.encode(), 'sha256'))}"
            with pytest.raises(InvalidToken):
                tokens.verify(forgery)


def test_the_secret_signs_nothing_under_a_private_keys_id(watch: Watch, key: SigningKey) -> None:
    """Nor does the private key under the secret's."""
    secret = SigningKey.shared(SECRET)
    tokens = tokens_of(watch, key, secret)
    with pytest.raises(InvalidToken):
        tokens.verify(forged(header(kid=key.kid), claims()))
    body = json.dumps(claims()).encode()
    signs = jwt.PyJWS().encode(body, key.signs, key.algorithm, {"typ": "at+jwt", "kid": secret.kid})
    with pytest.raises(InvalidToken):
        tokens.verify(signs)


def test_another_key_of_the_same_kind_signs_nothing(watch: Watch, algorithm: str, key: SigningKey) -> None:
    stranger = SigningKey.private(pem(algorithm, 7))
    assert stranger.kid != key.kid
    ours = {"typ": "at+jwt", "kid": key.kid}
    token = jwt.PyJWS().encode(json.dumps(claims()).encode(), stranger.signs, algorithm, ours)
    with pytest.raises(InvalidToken):
        tokens_of(watch, key).verify(token)


def test_a_signature_of_zeros_is_none(watch: Watch, key: SigningKey) -> None:
    """An EC signature of (0, 0) verified anything in some libraries (CVE-2022-21449)."""
    head, body, _ = issued(tokens_of(watch, key)).split(".")
    for size in (0, 64, 256):
        with pytest.raises(InvalidToken):
            tokens_of(watch, key).verify(f"{head}.{body}.{segment(bytes(size))}")


# Reading


def test_keys_are_read_in_their_order_however_they_are_joined() -> None:
    blocks = [pem("ES256"), pem("EdDSA"), pem("RS256")]
    told = [SigningKey.private(block).kid for block in blocks]
    for joined in (
        "".join(blocks),
        ",".join(blocks),
        "\r\n".join(blocks),
        "\\n".join("".join(blocks).split("\n")),
    ):
        assert [key.kid for key in private_keys(joined)] == told


def test_older_forms_of_pem_are_read_too() -> None:
    for kind in ("ES256", "RS256"):
        old = drawn(kind, 0).private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
        assert private_keys(old.decode())[0].kid == SigningKey.private(pem(kind)).kid


def encrypted() -> str:
    raw: bytes = drawn("ES256", 0).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")
    )
    return raw.decode()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (lambda: "secret words", "no private key"),
        (lambda: public_pem("ES256"), "no private key"),
        (lambda: pem("ES256") + "secret words", "beside"),
        (lambda: pem("ES256") + public_pem("ES256"), "beside"),
        (lambda: pem("ES256") * 2, "twice"),
        (encrypted, "key 1 is encrypted"),
        (lambda: pem("ES256") + pem("short RSA"), "key 2 is RSA of fewer than 2048 bits"),
        (lambda: pem("P-384"), "another curve"),
        (lambda: pem("Ed448"), "neither"),
        (lambda: pem("DSA"), "neither"),
        (lambda: "-----BEGIN PRIVATE KEY-----\nsecretwords\n-----END PRIVATE KEY-----", "cannot be read"),
        (lambda: "-----BEGIN PRIVATE KEY-----\n\xe9\n-----END PRIVATE KEY-----", "cannot be read"),
        (lambda: pem("ES256")[:90], "no private key"),
    ],
    ids=range(13),
)
def test_what_cannot_sign_is_refused_without_showing_it(text: Any, why: str) -> None:
    with pytest.raises(BadKey, match=why) as refused:
        private_keys(text())
    shown = str(refused.value)
    assert "secret" not in shown
    assert "BEGIN" not in shown
