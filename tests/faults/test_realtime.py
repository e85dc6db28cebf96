"""An API process dies under writers, and listeners that come and go: nobody misses a change, all see one order."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

from tests.faults.chatting import Follower, House, Writer, tally
from tests.faults.score import ROUNDS, rounds
from tests.fleet import Fleet, signed_in
from tests.waiting import PATIENCE_S, eventually

WRITERS, LISTENERS, EACH = (8, 10, 12) if ROUNDS == 1 else (32, 50, 20)  # `make test` and `make faults`
WITHIN_S = PATIENCE_S if ROUNDS == 1 else 600.0
A_SECOND = 100
PACED = 20  # writers who say five things a second each
FEW = 4
MESSAGES = "select author_id::text || client_id as one from messages where chat_id = $1::uuid order by seq"


@dataclass
class Stories:
    """What is said in chats of two people, one after another, and what became of it."""

    fleet: Fleet
    house: House
    ada: httpx.AsyncClient
    bob: httpx.AsyncClient
    writers: list[Writer] = field(default_factory=list)
    stored: list[str] = field(default_factory=list)
    struck: list[datetime] = field(default_factory=list)

    async def tell(
        self, crowd: tuple[int, int], turns: int, after: int, *, pause_s: float = 0.0, mends: bool = False
    ) -> None:
        """Let so many writers and listeners at it, and kill a process after so many messages."""
        bobs = (await self.bob.get("/users/me")).json()["id"]
        chat = (await self.ada.post("/chats", json={"kind": "group", "member_ids": [bobs]})).json()["id"]
        both = (self.ada, self.bob)
        writers = [Writer(both[n % 2], self.house, chat, n, pause_s) for n in range(crowd[0])]
        followers = [Follower(both[n % 2], self.house, chat) for n in range(crowd[1])]
        last_rev: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        following = [asyncio.create_task(follower.run(last_rev)) for follower in followers]
        writing = [asyncio.create_task(writer.run(turns, mends=mends)) for writer in writers]
        await eventually(lambda: sum(len(one.asked) for one in writers) > after, within=WITHIN_S)
        self.house.processes.pop().kill()
        self.struck.append(datetime.now(UTC))
        await asyncio.gather(*writing)
        page = (await self.ada.get(f"/chats/{chat}")).json()
        last_rev.set_result(page["last_rev"])
        async with asyncio.timeout(WITHIN_S):
            await asyncio.gather(*following)
        assert page["last_seq"] == len(writers) * turns
        hold(followers, writers)
        self.writers += writers
        async with self.fleet.database() as database:
            self.stored += [f"{chat} {row['one']}" for row in await database.fetch(MESSAGES, chat)]
        print(
            f"{len(writers)} writers, {len(followers)} listeners, {page['last_rev']} changes:"
            f" {sum(one.dropped for one in followers)} reconnections, {sum(one.gaps for one in followers)} gaps"
        )


def hold(followers: Sequence[Follower], writers: Sequence[Writer]) -> None:
    """Nobody who listened missed anything that was acknowledged, nor saw it twice, nor anything else."""
    expected: dict[str, str] = {}
    for writer in writers:
        expected |= writer.said
    everything = sum(len(writer.asked) for writer in writers)
    for follower in followers:
        told: dict[str, Any] = {
            one["id"]: one["text"] for one in follower.state.values() if one["deleted_at"] is None
        }
        assert told == expected
        assert len(follower.state) == everything


async def test_every_listener_ends_with_every_change_in_order_though_they_drop_and_a_process_dies(
    fleet: Fleet,
) -> None:
    house = House(list(await asyncio.gather(fleet.serve(), fleet.serve())))
    async with signed_in(house.processes[0].base) as ada, signed_in(house.processes[0].base) as bob:
        stories = Stories(fleet, house, ada, bob)
        for _ in range(rounds(3)):
            if len(house.processes) == 1:
                house.processes.append(await fleet.serve())
            await stories.tell((WRITERS, LISTENERS), EACH, WRITERS * EACH // 3, mends=True)
    fault = f"one of two API processes killed under {WRITERS} writers and {LISTENERS} listeners"
    assert tally(fault, stories.writers, stories.stored, stories.struck).tell().clean


async def test_what_was_acknowledged_is_kept_once_though_an_api_process_dies_under_100_messages_a_second(
    fleet: Fleet,
) -> None:
    """Whoever got no answer repeats with the same `client_id`, on the process that is left."""
    house = House(list(await asyncio.gather(fleet.serve(), fleet.serve())))
    turns = 6 if ROUNDS == 1 else 15
    async with signed_in(house.processes[0].base) as ada, signed_in(house.processes[0].base) as bob:
        stories = Stories(fleet, house, ada, bob)
        for _ in range(rounds(5)):
            if len(house.processes) == 1:
                house.processes.append(await fleet.serve())
            moment = random.randrange(PACED, PACED * (turns - 1))  # one that nobody chose
            await stories.tell((PACED, FEW), turns, moment, pause_s=PACED / A_SECOND)
    fault = f"`kill -9` of one of two API processes under {A_SECOND} messages/s"
    assert tally(fault, stories.writers, stories.stored, stories.struck).tell().clean
