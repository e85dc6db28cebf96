"""Databases of several sizes, and the same work in all: whether a table that has grown makes anything slower."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg

from benchmarks.noop import make_container
from benchmarks.plan import Plan
from benchmarks.stage import MIGRATED, Stage
from benchmarks.table import Measured, Operation, Row
from parlor.container import Container

# Ids that rise with time, as ours do: random ones would spread over the whole index.
RISING_ID = """(lpad(to_hex((extract(epoch from moment) * 1000)::bigint), 12, '0') || '7'
          || left(md5(number::text), 3) || '8' || substr(md5(number::text), 4, 15))::uuid"""
PATIENCE_S = 600
FLAT = 0.9
CHEAPEST = 4  # bcrypt's cost: here the database is measured


@dataclass(frozen=True, slots=True)
class Sized:
    """A database with so many rows, as processes of ours see it."""

    container: Container
    connection: "asyncpg.Connection[Any]"
    rows: int


Fill = Callable[["asyncpg.Connection[Any]", int], Awaitable[None]]
Work = Callable[[Sized], Awaitable[float]]


@dataclass(frozen=True, slots=True)
class Growth:
    """What is filled in, and how many rows of it, the fewest first."""

    what: str
    sizes: Sequence[int]
    fill: Fill
    bounded: frozenset[str] = frozenset()
    """Measures that promise to end in time, and not to be flat."""

    def row(self, of: str, size: int) -> Row:
        """Make the row of one measure."""
        name, floor = (f"with {rows:,} {self.what}" for rows in (size, self.sizes[0]))
        return Row(Operation(f"{of} {name}", floor, "a second", None if of in self.bounded else FLAT))


async def compare(stage: Stage, plan: Plan, growth: Growth, measures: Mapping[str, Work]) -> list[Row]:
    """Take turns between few rows and more of them; every measure answers how much it did a second."""
    fewest, *more = growth.sizes
    rows = {(of, size): growth.row(of, size) for size in more for of in measures}
    async with AsyncExitStack() as stack:
        databases = [
            await stack.enter_async_context(_sized(stage, growth.fill, size)) for size in growth.sizes
        ]
        for number in range(-1, 2 * plan.rounds):
            in_turn = databases[:: 1 if number % 2 == 0 else -1]
            for of, work in measures.items():
                with rows[of, more[-1]].failing():
                    found = {sized.rows: Measured(await work(sized)) for sized in in_turn}
                    for size in more if number >= 0 else ():  # what comes before is for warming up
                        rows[of, size].add(found[fewest], found[size])
    return list(rows.values())


async def rate(count: int, work: Awaitable[object]) -> float:
    """How many a second, where this work is so many."""
    began = time.perf_counter()
    await work
    return count / (time.perf_counter() - began)


@asynccontextmanager
async def _sized(stage: Stage, fill: Fill, rows: int) -> AsyncIterator[Sized]:
    database = f"sized_{rows}"
    superuser = await asyncpg.connect(stage.superuser)
    owner = await superuser.fetchval(
        "select datdba::regrole::text from pg_database where datname = current_database()"
    )
    await superuser.execute(f"create database {database} owner {owner} template {MIGRATED}")
    here = stage.with_database(database).set_to(PARLOR_BCRYPT_COST=str(CHEAPEST))
    connection = await asyncpg.connect(here.database)
    container = make_container(here.settings)
    await container.start()
    try:
        await fill(connection, rows)
        await connection.execute("vacuum analyze", timeout=PATIENCE_S)
        yield Sized(container, connection, rows)
    finally:
        await container.close()
        await connection.close()
        await superuser.execute(f"drop database {database} with (force)")
        await superuser.close()
