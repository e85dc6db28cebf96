"""Refresh: one current token a session; its parent for a while; anything older ends the session."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings, strategies as st

from parlor.core.identity.model import (
    SESSION_IDLE,
    SESSION_LIFE,
    InvalidGrant,
    InvalidToken,
    Session,
    User,
    UserStatus,
)
from parlor.core.identity.use_cases import TokenPair
from tests.builders import a_session
from tests.fakes.clock import NOON
from tests.unit.identity.conftest import CLIENT, GRACE, Identity

REUSE = "identity.refresh_reuse_detected"


async def entered(identity: Identity) -> tuple[User, TokenPair]:
    user = await identity.add()
    return user, await identity.enter(user)


async def refused(identity: Identity, token: str) -> None:
    with pytest.raises(InvalidGrant):
        await identity.refresh(refresh_token=token, client=CLIENT)


async def test_the_current_token_brings_the_next_pair(identity: Identity) -> None:
    user, first = await entered(identity)
    identity.clock.advance(hours=1)
    second = await identity.refresh(refresh_token=first.refresh_token, client=CLIENT)
    assert second.refresh_token not in ("", first.refresh_token)
    assert second.access_token != first.access_token
    (session,) = identity.sessions(user)
    assert session.current == identity.refreshing.fingerprint(second.refresh_token)
    assert session.parent == identity.refreshing.fingerprint(first.refresh_token)
    assert session.rotated_at == session.last_used_at == NOON + timedelta(hours=1)
    await identity.refresh(refresh_token=second.refresh_token, client=CLIENT)


async def test_both_pairs_stand_for_the_same_session(identity: Identity) -> None:
    _, first = await entered(identity)
    second = await identity.refresh(refresh_token=first.refresh_token, client=CLIENT)
    one, other = await identity.principal(first), await identity.principal(second)
    assert one.session_id == other.session_id


async def test_a_repetition_within_the_grace_brings_the_same_successor(identity: Identity) -> None:
    """A lost answer and two open tabs are normal life."""
    user, first = await entered(identity)
    second = await identity.refresh(refresh_token=first.refresh_token, client=CLIENT)
    identity.clock.now += GRACE - timedelta(milliseconds=1)
    again = await identity.refresh(refresh_token=first.refresh_token, client=CLIENT)
    assert again.refresh_token == second.refresh_token
    assert len(identity.live_sessions(user)) == 1
    assert REUSE not in dict(identity.facts())


async def test_a_repetition_after_the_grace_ends_the_session(identity: Identity) -> None:
    user, first = await entered(identity)
    second = await identity.refresh(refresh_token=first.refresh_token, client=CLIENT)
    identity.clock.now += GRACE
    await refused(identity, first.refresh_token)
    assert identity.live_sessions(user) == []
    assert identity.facts() == [(REUSE, user.id)]
    await refused(identity, second.refresh_token)
    with pytest.raises(InvalidToken):
        await identity.authenticate(second.access_token)


async def test_an_older_token_is_a_replay_even_at_once(identity: Identity) -> None:
    """The grace belongs to the direct parent alone."""
    user, first = await entered(identity)
    second = await identity.refresh(refresh_token=first.refresh_token, client=CLIENT)
    await identity.refresh(refresh_token=second.refresh_token, client=CLIENT)
    await refused(identity, first.refresh_token)
    assert identity.live_sessions(user) == []


async def test_a_replay_ends_no_other_session(identity: Identity) -> None:
    user, first = await entered(identity)
    other = await identity.enter(user)
    await identity.refresh(refresh_token=first.refresh_token, client=CLIENT)
    identity.clock.now += GRACE
    await refused(identity, first.refresh_token)
    assert len(identity.live_sessions(user)) == 1
    await identity.refresh(refresh_token=other.refresh_token, client=CLIENT)


async def test_a_replay_is_told_once(identity: Identity) -> None:
    _, first = await entered(identity)
    await identity.refresh(refresh_token=first.refresh_token, client=CLIENT)
    identity.clock.now += GRACE
    for _ in range(3):
        await refused(identity, first.refresh_token)
    assert len(identity.facts()) == 1


async def test_an_unknown_token_is_refused(identity: Identity) -> None:
    user, _ = await entered(identity)
    await refused(identity, "never issued")
    assert len(identity.live_sessions(user)) == 1


async def test_a_successor_that_was_never_issued_is_refused(identity: Identity) -> None:
    """Guessing ahead ends nothing."""
    user, first = await entered(identity)
    await refused(identity, identity.refreshing.successors(first.refresh_token)[0])
    assert len(identity.live_sessions(user)) == 1


async def test_a_disabled_user_is_refused(identity: Identity) -> None:
    user, pair = await entered(identity)
    async with identity.changing(user) as stored:
        stored.status = UserStatus.DISABLED
    await refused(identity, pair.refresh_token)


async def test_a_session_that_was_left_alone_expires(identity: Identity) -> None:
    """30 days after its last use, whenever it began."""
    _, first = await entered(identity)
    identity.clock.now += SESSION_IDLE - timedelta(seconds=1)
    second = await identity.refresh(refresh_token=first.refresh_token, client=CLIENT)
    identity.clock.now += SESSION_IDLE
    await refused(identity, second.refresh_token)


async def test_a_session_expires_however_often_it_is_used(identity: Identity) -> None:
    """180 days after it began; the lives in the answers shrink towards that."""
    _, pair = await entered(identity)
    ends = NOON + SESSION_LIFE
    while identity.clock.now + timedelta(days=25) < ends:
        identity.clock.advance(days=25)
        pair = await identity.refresh(refresh_token=pair.refresh_token, client=CLIENT)
        left = min(ends - identity.clock.now, SESSION_IDLE)
        assert pair.refresh_expires_in == left.total_seconds()
    identity.clock.now = ends
    await refused(identity, pair.refresh_token)


async def test_a_late_replay_in_an_expired_session_is_only_refused(identity: Identity) -> None:
    user, first = await entered(identity)
    await identity.refresh(refresh_token=first.refresh_token, client=CLIENT)
    identity.clock.now += SESSION_IDLE
    await refused(identity, first.refresh_token)
    assert identity.facts() == []
    assert len(identity.live_sessions(user)) == 1


async def test_a_repetition_brings_the_same_successor_while_the_servers_keys_are_rotated(
    identity: Identity,
) -> None:
    """One process has the new key, the other not yet; the next token is of the new one."""
    _, first = await entered(identity)
    second = await identity.refresh(refresh_token=first.refresh_token, client=CLIENT)
    identity.refreshing.keys = "!+"
    again = await identity.refresh(refresh_token=first.refresh_token, client=CLIENT)
    assert again.refresh_token == second.refresh_token
    third = await identity.refresh(refresh_token=second.refresh_token, client=CLIENT)
    assert third.refresh_token == f"{second.refresh_token}!"


async def test_an_unknown_server_key_inside_the_grace_refuses_the_repetition_only(identity: Identity) -> None:
    """The same successor cannot be derived any more; that is no replay, so the session lives on."""
    user, first = await entered(identity)
    second = await identity.refresh(refresh_token=first.refresh_token, client=CLIENT)
    identity.refreshing.keys = "!"
    await refused(identity, first.refresh_token)
    assert len(identity.live_sessions(user)) == 1
    await identity.refresh(refresh_token=second.refresh_token, client=CLIENT)


def test_a_session_ends_once() -> None:
    session = a_session()
    session.end(NOON)
    session.end(NOON + timedelta(days=1))
    assert session.ended_at == NOON
    assert not session.alive(NOON)


@dataclass(slots=True)
class Family:
    """The rules in other words: tokens in the order of their issue, and when the newest was issued."""

    tokens: list[str] = field(default_factory=list)
    rotated_at: datetime = NOON
    used_at: datetime = NOON
    revoked: bool = False

    def presents(self, number: int, now: datetime) -> str:
        """Say what must come of presenting the token of this number."""
        alive = now < min(self.used_at + SESSION_IDLE, NOON + SESSION_LIFE)
        if self.revoked or not alive:
            return "refused"
        if number == len(self.tokens) - 1:
            self.rotated_at = self.used_at = now
            return "next"
        if number == len(self.tokens) - 2 and now < self.rotated_at + GRACE:
            return "same"
        self.revoked = True
        return "replay"


A_STEP = st.tuples(
    st.integers(0, 3),  # which token, from the newest
    st.sampled_from([0, 1, 19, 20, 21, 3600, 29 * 86_400, 31 * 86_400]),  # after how many seconds
)


@settings(max_examples=60, deadline=None, database=None)
@given(steps=st.lists(A_STEP, max_size=25))
async def test_any_tokens_at_any_times_follow_the_rules(steps: Sequence[tuple[int, int]]) -> None:
    identity = Identity()
    user, pair = await entered(identity)
    family = Family([pair.refresh_token])
    for back, seconds in steps:
        identity.clock.advance(seconds=seconds)
        number = max(0, len(family.tokens) - 1 - back)
        expected = family.presents(number, identity.clock.now)
        try:
            answer = await identity.refresh(refresh_token=family.tokens[number], client=CLIENT)
        except InvalidGrant:
            assert expected in ("refused", "replay")
        else:
            assert expected in ("next", "same")
            if expected == "next":
                assert answer.refresh_token not in family.tokens
                family.tokens.append(answer.refresh_token)
            assert answer.refresh_token == family.tokens[-1]
        (session,) = identity.sessions(user)
        assert (session.ended_at is not None) == family.revoked
        assert len(identity.facts()) == family.revoked
        assert _known(identity, session) == len(family.tokens)


def _known(identity: Identity, session: Session) -> int:
    families = identity.database.store.identity.families
    return sum(owner == session.id for owner in families.values())
