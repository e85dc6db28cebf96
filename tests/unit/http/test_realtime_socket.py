"""How long a connection lasts, and whose page may open one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from parlor.core.identity.model import InvalidToken
from parlor.core.identity.use_cases import Principal
from parlor.core.shared.errors import Busy, DatabaseAway, ParlorError
from parlor.core.shared.ids import uuid7
from parlor.entrypoints.http import realtime_socket
from parlor.entrypoints.http.auth import Caller
from parlor.entrypoints.http.conversation import Closing, Conversation, Limits
from parlor.entrypoints.http.realtime_socket import Sockets
from tests.fakes.clock import NOON, FakeClock
from tests.unit.http.test_streams import ADA, ADMIN, Again, HintsOfAll

NOTHING: Any = None


@asynccontextmanager
async def watched(
    again: Again, hints: HintsOfAll, principal: Principal = ADA
) -> AsyncIterator[tuple[asyncio.Task[None], Conversation]]:
    """Run what ends with the caller."""
    conversation = Conversation(NOTHING, Limits(1, 1), principal.actor)
    guard = asyncio.create_task(
        Sockets(hints, FakeClock()).until_nobody(Caller(principal, again), conversation)
    )
    yield guard, conversation
    guard.cancel()
    await asyncio.gather(guard, return_exceptions=True)


@pytest.mark.parametrize("now", [InvalidToken(), DatabaseAway()], ids=["nobody", "nobody can say"])
async def test_a_hint_makes_us_look_whether_the_caller_is_still_somebody(now: ParlorError) -> None:
    again, hints = Again([ADA, now]), HintsOfAll()
    async with watched(again, hints) as (guard, _):
        hints.changed.set()
        await asyncio.wait([guard], timeout=0.05)
        ended = guard.done()
    assert again.asked == 2
    assert ended is isinstance(now, InvalidToken)
    if ended:
        closing = guard.exception()
        assert isinstance(closing, Closing)
        assert closing.code == 4401


async def test_other_rights_are_taken_over_without_an_end() -> None:
    hints = HintsOfAll()
    async with watched(Again([ADA, ADMIN]), hints) as (guard, conversation):
        hints.changed.set()
        await asyncio.wait([guard], timeout=0.05)
        assert not guard.done()
        assert conversation.actor == ADMIN.actor


async def test_a_credential_that_expires_ends_it() -> None:
    late = replace(ADA, expires_at=NOON.timestamp())
    async with watched(Again([late]), HintsOfAll(), late) as (guard, _):
        with pytest.raises(Closing) as closing:
            await guard
    assert (closing.value.code, closing.value.error.code) == (4401, "session_ended")


def test_places_are_counted_and_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(realtime_socket, "MOST", 2)
    sockets, user_id = Sockets(HintsOfAll(), FakeClock()), uuid7()
    with sockets.place_for(user_id) as first, sockets.place_for(user_id) as second:
        assert (first, second) == (1, 2)
        with pytest.raises(Busy), sockets.place_for(uuid7()):
            pass
    with sockets.place_for(user_id) as first:
        assert first == 1
