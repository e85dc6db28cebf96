"""Refresh tokens: drawn once, then derived from one another."""

import hashlib
import hmac

from hypothesis import given, settings, strategies as st

from parlor.adapters.security.tokens import DerivedRefreshTokens
from tests.unit.security.forging import OLDER, SECRET, Watch, issued, segment, tokens_of


def test_first_tokens_are_drawn() -> None:
    refresh = DerivedRefreshTokens([SECRET])
    drawn = {refresh.first() for _ in range(100)}
    assert len(drawn) == 100
    assert {len(token) for token in drawn} == {43}


def test_a_successor_is_the_same_for_the_same_token_and_looks_like_any() -> None:
    refresh, twin = DerivedRefreshTokens([SECRET]), DerivedRefreshTokens([SECRET])
    first = refresh.first()
    (successor,) = refresh.successors(first)
    assert [successor] == twin.successors(first) == refresh.successors(first)
    assert len(successor) == 43
    assert len({first, successor, *refresh.successors(successor), *refresh.successors("x")}) == 4


def test_each_secret_derives_the_newest_first() -> None:
    first = DerivedRefreshTokens([SECRET]).first()
    rotated, newest, oldest = (DerivedRefreshTokens(keys) for keys in ([SECRET, OLDER], [SECRET], [OLDER]))
    assert rotated.successors(first) == [*newest.successors(first), *oldest.successors(first)]
    assert newest.successors(first) != oldest.successors(first)


def test_a_successor_is_not_the_secrets_own_mac() -> None:
    """Whoever gets the server to sign something with the secret elsewhere has no refresh token."""
    first = DerivedRefreshTokens([SECRET]).first()
    own = hmac.digest(SECRET.encode(), first.encode(), "sha256")
    assert DerivedRefreshTokens([SECRET]).successors(first) != [segment(own)]


@settings(deadline=None)
@given(st.text())
def test_any_text_has_a_fingerprint_and_a_successor(text: str) -> None:
    refresh = DerivedRefreshTokens([SECRET])
    assert len(refresh.fingerprint(text)) == 32
    assert all(refresh.successors(text))


def test_a_lone_surrogate_has_a_fingerprint() -> None:
    assert len(DerivedRefreshTokens([SECRET]).fingerprint("\ud800")) == 32


def test_a_fingerprint_is_sha_256() -> None:
    assert DerivedRefreshTokens([SECRET]).fingerprint("token") == hashlib.sha256(b"token").digest()


def test_an_access_token_as_refresh_token_is_just_unknown() -> None:
    refresh = DerivedRefreshTokens([SECRET])
    assert refresh.fingerprint(issued(tokens_of(Watch()))) != refresh.fingerprint(refresh.first())
