"""Access tokens: what an attacker tries, and what holds without one."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

import jwt
import pytest
from hypothesis import given, settings, strategies as st

from parlor.adapters.security.signing import SigningKey
from parlor.adapters.security.tokens import DerivedRefreshTokens, RememberedTokens
from parlor.core.identity.model import InvalidToken
from parlor.core.identity.ports import AccessTokens, Claims, FreshToken
from tests.unit.security.forging import (
    AUDIENCE,
    FOREIGN,
    ISSUER,
    OLDER,
    SECRET,
    SESSION,
    START,
    TOKEN,
    USER,
    Watch,
    claims,
    forged,
    header,
    issued,
    segment,
    tokens_of,
)


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture(params=["plain", "remembered"])
def tokens(request: pytest.FixtureRequest, watch: Watch) -> AccessTokens:
    plain = tokens_of(watch, SECRET, OLDER)
    return plain if request.param == "plain" else RememberedTokens(plain, clock=watch)


def test_a_token_says_what_it_was_issued_for(tokens: AccessTokens) -> None:
    assert tokens.verify(issued(tokens)) == Claims(USER, SESSION, 7, START.timestamp() + 900)
    assert tokens.verify(issued(tokens)) == Claims(USER, SESSION, 7, START.timestamp() + 900)


def test_a_token_holds_nothing_personal_and_says_what_it_is(tokens: AccessTokens) -> None:
    fresh = tokens.issue(USER, SESSION, epoch=7, token_id=TOKEN)
    assert isinstance(fresh, FreshToken)
    assert fresh.expires_in == 900
    assert jwt.get_unverified_header(fresh.token) == header()
    assert jwt.decode(fresh.token, options={"verify_signature": False}) == claims()


def test_the_forger_of_these_tests_makes_good_tokens(tokens: AccessTokens) -> None:
    """Otherwise every refusal below would say nothing."""
    assert tokens.verify(forged(header(), claims())).user_id == USER


@pytest.mark.parametrize("extra", [{"nbf": int(START.timestamp())}, {"roles": ["admin"]}, {"name": "x"}])
def test_a_claim_more_does_no_harm(tokens: AccessTokens, extra: Mapping[str, object]) -> None:
    assert tokens.verify(forged(header(), claims(**extra))).user_id == USER


ALGORITHMS: Sequence[object] = [
    *["none", "None", "NONE", "nOnE", "", " none", "none\x00", None, 0, [], {}],
    *["HS384", "HS512", "RS256", "ES256", "EdDSA", "hs256", ["HS256"]],
]
KEY_IDS: Sequence[object] = [
    *["", "0", None, 0, [], {}, ["a"], True],
    *["../../../../etc/passwd", "/dev/null", "' OR 1=1 --"],
    *["http://127.0.0.1:1/key", "file:///proc/self/environ"],
]


@pytest.mark.parametrize(
    "head",
    [
        *(header(alg=alg) for alg in ALGORITHMS),
        *(header(typ=typ) for typ in ["JWT", "jwt", "rt+jwt", "AT+JWT", "application/at+jwt", "", None, 1]),
        *(header(crit=crit) for crit in [["b64"], ["exp"], ["http://example.org/x"], [], "exp", {}, 1]),
        header(crit=["b64"], b64=True),
        header(crit=["b64"], b64=False),
        header(b64=False),
        *(header() | {name: None} for name in header()),
        *(header(kid=kid) for kid in KEY_IDS),
        header(kid=SECRET),
        header(kid=SigningKey.shared(OLDER).kid),
        header(kid=SigningKey.shared(SECRET).kid.upper()),
        [],
        "header",
        1,
        b"\xff\xfe",
        b"{" * 3000,
        b"",
    ],
)
def test_a_header_that_is_not_ours_is_refused(tokens: AccessTokens, head: object) -> None:
    """Although signed with the right secret."""
    with pytest.raises(InvalidToken):
        tokens.verify(forged(head, claims()))


@pytest.mark.parametrize(
    "named", [{"jwk": {"kty": "oct", "k": "eA"}}, {"jku": "http://127.0.0.1:1/"}, {"x5u": "x"}]
)
def test_a_key_that_comes_with_the_token_is_not_used(
    tokens: AccessTokens, named: Mapping[str, object]
) -> None:
    with pytest.raises(InvalidToken):
        tokens.verify(forged(header(**named), claims(), secret="x"))


NOW = int(START.timestamp())


@pytest.mark.parametrize(
    "body",
    [
        *(claims(**{name: None}) for name in claims()),
        *(claims() | {name: None} for name in claims()),
        *(
            claims(exp=exp)
            for exp in [NOW, NOW - 1, NOW - 900, 0, -1, str(NOW + 900), NOW + 0.5, True, [], 10**400]
        ),
        *(claims(exp=exp) for exp in [NOW + 3601, 2**63, 10**30, float("inf"), float("nan")]),
        *(claims(iat=iat) for iat in [NOW + 31, NOW + 900, NOW - 10_000, "now", 1.5, True, [], -(10**400)]),
        *(claims(nbf=nbf) for nbf in [NOW + 31, NOW + 800, "now", True, 1e300, [], {}]),
        *(claims(iss=iss) for iss in ["https://evil.example", "", [ISSUER], ISSUER + "/", 1, {}]),
        *(claims(aud=aud) for aud in ["other", "", [AUDIENCE], [AUDIENCE, "other"], 1, {AUDIENCE: 1}]),
        *(claims(sub=sub) for sub in ["", "admin", "1", 1, [str(USER)], {}, str(USER)[:-1], f"{{{USER}}}"]),
        *(claims(sub=sub) for sub in [f"urn:uuid:{USER}", USER.hex, str(USER).upper(), f" {USER}", "٣" * 32]),
        *(claims(sid=sid) for sid in ["", "1", 1, [], SESSION.hex]),
        *(claims(jti=jti) for jti in ["", "1", 1, [], TOKEN.hex]),
        *(claims(epoch=epoch) for epoch in ["7", 7.0, True, False, [], {}, 1e300]),
        [],
        "claims",
        1,
        b"null",
        b"\xff\xfe",
        b"[" * 5000,
        b"",
        b'{"exp":NaN}',
    ],
)
def test_claims_that_are_not_ours_are_refused(tokens: AccessTokens, body: object) -> None:
    """Although signed with the right secret."""
    with pytest.raises(InvalidToken):
        tokens.verify(forged(header(), body))


@pytest.mark.parametrize(("iat", "nbf"), [(NOW + 30, None), (NOW, NOW + 30)])
def test_another_clock_may_run_ahead_half_a_minute(tokens: AccessTokens, iat: int, nbf: int | None) -> None:
    assert tokens.verify(forged(header(), claims(iat=iat, nbf=nbf))).user_id == USER


Spoil = Callable[[str], object]
SPOILT: Mapping[str, Spoil] = {
    "stripped signature": lambda token: token.rpartition(".")[0] + ".",
    "no signature": lambda token: token.rpartition(".")[0],
    "half a signature": lambda token: token[:-20],
    "another's signature": lambda token: token.rpartition(".")[0] + "." + segment(b"x" * 32),
    "swapped payload": lambda token: ".".join(
        [token.split(".")[0], segment(claims(epoch=8)), token.split(".")[2]]
    ),
    "swapped header": lambda token: ".".join([segment(header(typ="JWT")), *token.split(".")[1:]]),
    "none without signature": lambda token: f"{segment(header(alg='none'))}.{token.split('.')[1]}.",
    "a segment more": lambda token: token + ".",
    "a segment between": lambda token: token.replace(".", ".x.", 1),
    "white space": lambda token: f" {token}\n",
    "a line end inside": lambda token: token.replace(".", ".\n", 1),
    "standard base64": lambda token: token[:-1] + "/",
    "padding": lambda token: token + "=",
    "bytes": lambda token: token.encode(),
    "nothing": lambda _: "",
    "dots": lambda _: "..",
    "many dots": lambda _: "." * 8000,
    "None": lambda _: None,
    "a number": lambda _: 1,
    "a lone surrogate": lambda token: token + "\ud800",
    "full-width letters": lambda token: token.replace("e", "\uff45"),
    "NUL": lambda token: token + "\x00",
    "a refresh token": lambda _: DerivedRefreshTokens([SECRET]).first(),
    "an API key": lambda _: "parlor_abcdefgh_" + "x" * 43,
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT.keys())
def test_a_spoilt_token_is_refused(tokens: AccessTokens, spoil: Spoil) -> None:
    """Also right after the good one was verified, and remembered."""
    good = issued(tokens)
    tokens.verify(good)
    spoilt: Any = spoil(good)
    with pytest.raises(InvalidToken):
        tokens.verify(spoilt)


def test_a_huge_token_is_refused_although_good(tokens: AccessTokens) -> None:
    """Before anything is parsed: what is too long is not even good when it is."""
    with pytest.raises(InvalidToken):
        tokens.verify(forged(header(), claims(filler="x" * 8192)))
    assert tokens.verify(forged(header(), claims(filler="x" * 4096))).user_id == USER


def test_a_huge_token_is_not_parsed(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("parsed")

    monkeypatch.setattr(jwt.PyJWS, "get_unverified_header", fail)
    with pytest.raises(InvalidToken):
        tokens_of(watch).verify("x.y." + "z" * 8192)


@settings(deadline=None)
@given(st.text() | st.text("abcABC012-_=.") | st.binary().map(lambda raw: ".".join([segment(raw)] * 3)))
def test_whatever_it_is_it_is_refused_in_one_way(text: str) -> None:
    with pytest.raises(InvalidToken):
        tokens_of(Watch()).verify(text)


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from([*claims(), "nbf"]), st.none() | st.booleans() | st.integers() | st.text()
    )
)
def test_whatever_is_signed_is_taken_or_refused(changes: dict[str, object]) -> None:
    """The right secret under odd claims: nothing but InvalidToken comes out of it."""
    try:
        read = tokens_of(Watch()).verify(forged(header(), claims() | changes))
    except InvalidToken:
        return
    assert isinstance(read.user_id, UUID)
    assert type(read.epoch) is int


def test_a_token_ends_on_the_second(tokens: AccessTokens, watch: Watch) -> None:
    token = issued(tokens)
    watch.move(899.9)
    tokens.verify(token)
    watch.move(0.1)
    with pytest.raises(InvalidToken):
        tokens.verify(token)
    with pytest.raises(InvalidToken):
        tokens.verify(token)


def test_the_foreign_are_refused(tokens: AccessTokens, watch: Watch) -> None:
    """Another secret under our kid, and other systems that share the secret."""
    strangers = [
        forged(header(), claims(), secret=FOREIGN),
        issued(tokens_of(watch, FOREIGN)),
        issued(tokens_of(watch, issuer="https://other.example")),
        issued(tokens_of(watch, audience="other")),
        forged(header(alg="HS512"), claims(), digest="sha512"),
    ]
    for stranger in strangers:
        with pytest.raises(InvalidToken):
            tokens.verify(stranger)


def test_after_a_rotation_the_newest_secret_signs_and_the_older_still_verifies(watch: Watch) -> None:
    before = tokens_of(watch, OLDER)
    rotated = tokens_of(watch, SECRET, OLDER)
    old = issued(before)
    assert rotated.verify(old).user_id == USER
    new = issued(rotated)
    assert jwt.get_unverified_header(new)["kid"] == SigningKey.shared(SECRET).kid
    with pytest.raises(InvalidToken):
        before.verify(new)
    with pytest.raises(InvalidToken):
        tokens_of(watch, SECRET).verify(old)


def test_a_key_id_does_not_tell_its_key() -> None:
    key = SigningKey.shared(SECRET)
    assert key.kid not in hashlib.sha256(SECRET.encode()).hexdigest()
    assert SECRET not in repr(key)


@pytest.mark.parametrize("ttl_s", [0, -1, 3601])
def test_no_token_is_issued_that_would_be_refused(watch: Watch, ttl_s: int) -> None:
    with pytest.raises(ValueError, match="lives"):
        tokens_of(watch, ttl_s=ttl_s)


def test_a_short_secret_signs_nothing(watch: Watch) -> None:
    with pytest.raises(jwt.InvalidKeyError):
        issued(tokens_of(watch, "x" * 31))
