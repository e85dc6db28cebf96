"""Remembered tokens: verified once, bounded, and never longer than they live."""

import pytest

from parlor.adapters.security.signing import SigningKey
from parlor.adapters.security.tokens import JwtAccessTokens, RememberedTokens
from parlor.core.identity.model import InvalidToken
from parlor.core.identity.ports import Claims
from parlor.core.shared.caching import Looks
from tests.unit.security.forging import AUDIENCE, ISSUER, SECRET, Watch, issued


@pytest.fixture
def watch() -> Watch:
    return Watch()


class Counting(JwtAccessTokens):
    """Counts how often a token is looked at."""

    def __init__(self, watch: Watch) -> None:
        super().__init__([SigningKey.shared(SECRET)], issuer=ISSUER, audience=AUDIENCE, clock=watch)
        self.verified = 0

    def verify(self, token: str) -> Claims:
        self.verified += 1
        return super().verify(token)


def test_a_known_token_is_verified_once(watch: Watch) -> None:
    counting = Counting(watch)
    tokens = RememberedTokens(counting, clock=watch)
    token = issued(tokens)
    for _ in range(5):
        tokens.verify(token)
    assert counting.verified == 1
    assert tokens.looks == Looks(hit=4, missed=1)


def test_refused_tokens_take_no_room(watch: Watch) -> None:
    tokens = RememberedTokens(Counting(watch), clock=watch)
    with pytest.raises(InvalidToken):
        tokens.verify("x")
    assert not tokens._known


def test_what_is_remembered_is_bounded(watch: Watch) -> None:
    tokens = RememberedTokens(Counting(watch), clock=watch, capacity=3)
    for epoch in range(10):
        tokens.verify(issued(tokens, epoch=epoch))
        assert len(tokens._known) <= 3


def test_a_token_that_ended_is_not_remembered_longer(watch: Watch) -> None:
    tokens = RememberedTokens(Counting(watch), clock=watch)
    token = issued(tokens)
    tokens.verify(token)
    watch.move(900)
    with pytest.raises(InvalidToken):
        tokens.verify(token)
    assert not tokens._known
