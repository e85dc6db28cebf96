"""Chats and parties beside few messages and parties, and beside many."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from itertools import count as counting
from typing import Any
from uuid import UUID

import asyncpg

from benchmarks.filled import chat, common_word, fill_chats, fill_parties, party, rare_word
from benchmarks.identity import USERS
from benchmarks.plan import Plan
from benchmarks.producing import AT_ONCE
from benchmarks.sized import Growth, Sized, compare, rate
from benchmarks.stage import Stage
from benchmarks.table import Row
from parlor.core.chats.posting import PostMessage
from parlor.core.chats.reading import ChatSearch, ChatViews, Side, Window
from parlor.core.parties.access import WRITE
from parlor.core.parties.membership import JoinParty
from parlor.core.parties.ports import PartySearch, PartyViews
from parlor.core.shared.actor import Actor, ActorKind
from parlor.core.shared.ids import UserId
from parlor.core.shared.paging import PageRequest

PAGE = PageRequest(limit=50)
TEXT = "Sing the first song that comes to mind, or tell who you would rather be for a day."
NAMES = ("velvet dragons", "lucky owls", "brave unicrons", "silver singers")
OWNER = 0
SEARCH_CHAT, SEARCH_PARTIES = "search in a chat", "search for parties"
# They end within 0.5 s or not at all: one at a time, so that it is not each other that they wait for.
SEARCHES = frozenset({SEARCH_CHAT, SEARCH_PARTIES})


async def measure(stage: Stage, plan: Plan) -> list[Row]:
    """Take turns between the sizes."""
    joined = {rows: counting(1) for rows in plan.social_rows}
    measures: dict[str, Callable[[Sized], Awaitable[float]]] = {
        "post a message": lambda sized: _post(sized, plan.social_writes),
        "read a page of history": lambda sized: _history(sized, plan.social_reads),
        SEARCH_CHAT: lambda sized: _search_chat(sized, plan.social_reads // 4),
        "list parties": lambda sized: _parties(sized, plan.social_reads, PartySearch()),
        SEARCH_PARTIES: lambda sized: _parties(
            sized, plan.social_reads // 8, *(PartySearch(q=name) for name in NAMES), at_once=1
        ),
        "join a party": lambda sized: _join(
            sized, [next(joined[sized.rows]) for _ in range(plan.social_writes // 4)]
        ),
    }
    return await compare(
        stage, plan, Growth("messages and parties", plan.social_rows, _fill, SEARCHES), measures
    )


async def _fill(connection: "asyncpg.Connection[Any]", rows: int) -> None:
    await connection.execute(USERS, AT_ONCE + 1, "none")
    await fill_chats(connection, rows, _user(OWNER))
    await fill_parties(connection, rows, _user(OWNER))


async def _post(sized: Sized, count: int) -> float:
    """Write into the long chat and 15 others."""
    post, actor = sized.container.command(PostMessage), _actor(OWNER)
    chats = min(AT_ONCE, sized.rows // 200)

    async def one(worker: int, _: int) -> None:
        await post(actor, chat(worker % chats), TEXT)

    return await _at_once(count, one)


async def _history(sized: Sized, count: int) -> float:
    """Read the long chat at any depth."""
    views, actor, chance = sized.container.get(ChatViews), _actor(OWNER), random.Random(7)

    async def one(_: int, __: int) -> None:
        before = chance.randrange(51, sized.rows // 2)
        await views.history(actor, chat(0), Window(50, Side.BEFORE, before))

    return await _at_once(count, one)


async def _search_chat(sized: Sized, count: int) -> float:
    """Look in the long chat for what every tenth message has, and for what a thousand in a row have, in turn."""
    search, actor, chance = sized.container.get(ChatSearch), _actor(OWNER), random.Random(7)

    async def one(_: int, number: int) -> None:
        word = common_word(number) if number % 2 else rare_word(chance.randrange(1, sized.rows // 2))
        await search(actor, chat(0), word, PAGE)

    return await _at_once(count, one, workers=1)


async def _parties(sized: Sized, count: int, *searches: PartySearch, at_once: int = AT_ONCE) -> float:
    views, actor = sized.container.get(PartyViews), _actor(OWNER + 1)

    async def one(_: int, number: int) -> None:
        await views.search(actor, searches[number % len(searches)], PAGE)

    return await _at_once(count, one, workers=at_once)


async def _join(sized: Sized, numbers: list[int]) -> float:
    join = sized.container.command(JoinParty)

    async def one(worker: int, number: int) -> None:
        await join(_actor(1 + worker), party(sized.rows - numbers[number]))

    return await _at_once(len(numbers), one)


async def _at_once(
    count: int, one: Callable[[int, int], Awaitable[None]], *, workers: int = AT_ONCE
) -> float:
    async def some(worker: int) -> None:
        for number in range(worker, count, workers):
            await one(worker, number)

    return await rate(count, asyncio.gather(*(some(worker) for worker in range(workers))))


def _user(number: int) -> UserId:
    return UserId(UUID(f"00000000-0000-7000-8000-{number:012x}"))


def _actor(number: int) -> Actor:
    return Actor(ActorKind.USER, _user(number), _user(number), frozenset({WRITE}))
