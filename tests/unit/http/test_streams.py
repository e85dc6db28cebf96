"""Streams: who opens one, how often, and until when."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field, replace
from uuid import UUID

import pytest
from httpx import AsyncClient

from parlor.core.identity.hints import UserHints
from parlor.core.identity.model import InvalidToken
from parlor.core.identity.ports import Claims
from parlor.core.identity.tickets import InvalidTicket, IssuedTicket, IssueTicket, RedeemTicket
from parlor.core.identity.use_cases import Principal
from parlor.core.shared.actor import Actor
from parlor.core.shared.clock import Clock
from parlor.core.shared.errors import DatabaseAway, NotFound, ParlorError
from parlor.core.shared.ids import TaskId, uuid7
from parlor.core.tasks.watching import Moves, Sight, TaskSights, Watched
from parlor.entrypoints.http import streams
from parlor.entrypoints.http.auth import Caller
from parlor.entrypoints.http.streams import Streams
from tests.fakes.clock import NOON, FakeClock
from tests.fakes.container import SIGNED_IN, TOKEN, FakeContainer, a_principal
from tests.unit.http.task_fakes import TASK_ID

EVENTS = f"/api/v1/tasks/{TASK_ID}/events"


@dataclass
class EndedSights:
    """Port TaskSights: one task, which has ended."""

    version: int = 4
    visible: bool = True

    async def one(self, _viewer: Actor, _task_id: TaskId) -> Sight:
        if not self.visible:
            raise NotFound
        return Sight(self.version, ended=True, json=b'{"version": 4}')


class NoMoves:
    """Port Moves: nothing does."""

    def follow(self, task_id: TaskId) -> AbstractContextManager[Watched]:
        return nullcontext(Watched(task_id, 0, asyncio.Event()))


@dataclass
class HintsOfAll:
    """Port UserHints: one event for everybody."""

    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def expect(self, *_hinted: UUID) -> AbstractContextManager[asyncio.Event]:
        return nullcontext(self.changed)


@dataclass
class Redeem:
    """Knows one ticket, once."""

    tickets: set[str] = field(default_factory=lambda: {"good-ticket"})

    async def __call__(self, shown: str) -> Claims:
        if shown not in self.tickets:
            raise InvalidTicket
        self.tickets.remove(shown)
        user_id, session_id = uuid7(), uuid7()
        return Claims(user_id, session_id, epoch=0, expires_at=0)  # type: ignore[arg-type]  # plain ids


@pytest.fixture(autouse=True)
def wired(fake: FakeContainer) -> None:
    """Put what the streams need behind the application."""
    fake.ports |= {TaskSights: EndedSights(), Moves: NoMoves(), UserHints: HintsOfAll(), Clock: FakeClock()}
    fake.commands[RedeemTicket] = Redeem()
    fake.stand_for = Again([fake.authenticate.principal])


async def test_an_ended_task_is_told_once(ada: AsyncClient) -> None:
    answer = await ada.get(EVENTS)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream")
    assert answer.content == b'retry: 2000\n\nevent: task\nid: 4\ndata: {"version": 4}\n\n'


async def test_a_ticket_is_a_credential_once(client: AsyncClient) -> None:
    used = [await client.get(EVENTS, params={"ticket": "good-ticket"}) for _ in range(2)]
    assert [answer.status_code for answer in used] == [200, 401]
    assert used[1].json()["code"] == "invalid_ticket"
    assert used[1].headers["www-authenticate"] == 'Bearer error="invalid_token"'


@pytest.mark.parametrize("ticket", ["", "unknown", TOKEN, "\0", "\u2028", "t" * 10_000])
async def test_what_is_no_ticket_is_refused(client: AsyncClient, ticket: str) -> None:
    answer = await client.get(EVENTS, params={"ticket": ticket})
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_ticket")


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("ticket=good-ticket", SIGNED_IN),
        ("ticket=good-ticket", {"x-api-key": "k"}),
        ("ticket=good-ticket&ticket=good-ticket", {}),
    ],
    ids=["token", "key", "two"],
)
async def test_a_ticket_beside_another_credential_is_ambiguous_and_not_used_up(
    client: AsyncClient, query: str, headers: dict[str, str]
) -> None:
    answer = await client.get(f"{EVENTS}?{query}", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "ambiguous_credentials")
    assert (await client.get(EVENTS, params={"ticket": "good-ticket"})).status_code == 200


async def test_a_ticket_opens_nothing_but_streams(fake: FakeContainer, client: AsyncClient) -> None:
    answer = await client.get("/api/v1/users/me", params={"ticket": "good-ticket"})
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert fake.authenticate.asked == []


async def test_without_any_credential_one_is_asked_for_it(client: AsyncClient) -> None:
    answer = await client.get(EVENTS)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


async def test_who_is_signed_in_gets_a_ticket(fake: FakeContainer, ada: AsyncClient) -> None:
    async def issue(principal: Principal) -> IssuedTicket:
        assert principal is fake.authenticate.principal
        return IssuedTicket("drawn", 30)

    fake.commands[IssueTicket] = issue
    answer = await ada.post("/api/v1/realtime/tickets")
    assert (answer.status_code, answer.json()) == (201, {"ticket": "drawn", "expires_in": 30})
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("seen", ["x", "-1", "1.0", "1 1", "99999999999", "\u0661"])
async def test_a_malformed_id_is_refused_where_it_stands(ada: AsyncClient, seen: str) -> None:
    in_header = await ada.get(EVENTS, headers={b"Last-Event-ID": seen.encode()})
    in_query = await ada.get(EVENTS, params={"last_event_id": seen})
    for answer, pointer in ((in_header, "header:Last-Event-ID"), (in_query, "query:last_event_id")):
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)


async def test_an_empty_id_is_none(ada: AsyncClient) -> None:
    assert (await ada.get(EVENTS, headers={"Last-Event-ID": ""})).status_code == 200


@dataclass
class Again:
    """Who the caller is when asked again: the next of these, the last one ever after."""

    answers: list[Principal | ParlorError]
    asked: int = 0

    async def __call__(self, _claims: Claims | None = None) -> Principal:
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, ParlorError):
            raise answer
        return answer


ADA = replace(a_principal(), expires_at=NOON.timestamp() + 60)
ADMIN = replace(ADA, actor=replace(ADA.actor, permissions=frozenset({"tasks:manage"})))


@asynccontextmanager
async def guarded(
    again: Again, hints: HintsOfAll, clock: FakeClock, principal: Principal = ADA
) -> AsyncIterator[asyncio.Task[None]]:
    """Run what ends with the caller's rights."""
    guard = asyncio.create_task(Streams(hints, clock).until_nobody(Caller(principal, again)))
    yield guard
    guard.cancel()
    await asyncio.gather(guard, return_exceptions=True)


@pytest.mark.parametrize(
    ("now", "ends"),
    [(ADA, False), (InvalidToken(), True), (DatabaseAway(), False), (replace(ADA, actor=ADMIN.actor), True)],
    ids=["the same", "nobody", "nobody can say", "other rights"],
)
async def test_a_hint_makes_us_look_whether_the_caller_still_may(
    now: Principal | ParlorError, *, ends: bool
) -> None:
    again, hints = Again([ADA, now]), HintsOfAll()
    async with guarded(again, hints, FakeClock()) as guard:
        hints.changed.set()
        done, _ = await asyncio.wait([guard], timeout=None if ends else 0.05)
    assert bool(done) is ends
    assert again.asked == 2


async def test_without_a_hint_we_look_from_time_to_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "BEAT_S", 0.001)
    again = Again([ADA, ADA, ADA, InvalidToken()])
    async with guarded(again, HintsOfAll(), FakeClock()) as guard:
        await guard
    assert again.asked == 4


async def test_a_stream_ends_with_its_credential() -> None:
    clock = FakeClock()
    clock.advance(seconds=60)
    async with guarded(Again([ADA]), HintsOfAll(), clock) as guard:
        await guard


async def test_who_lost_their_rights_before_the_first_byte_is_noticed() -> None:
    async with guarded(Again([InvalidToken()]), HintsOfAll(), FakeClock()) as guard:
        await guard
