"""`parlor api-keys`, and the key that is there from the start."""

import asyncio
from argparse import Namespace
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from parlor.adapters.sql.api_keys import SqlApiKeyViews, SqlKeyRing
from parlor.adapters.sql.engine import Database
from parlor.container import Container
from parlor.core.identity.api_keys import ApiKeyViews
from parlor.core.identity.api_keys_use_cases import IssueApiKey, KeepBootstrapKey, RevokeApiKey
from parlor.core.shared.clock import Clock
from parlor.core.shared.errors import DatabaseAway
from parlor.core.shared.ids import uuid7
from parlor.entrypoints import api_keys as command
from parlor.entrypoints.cli import main
from parlor.entrypoints.http import bootstrap
from parlor.entrypoints.http.bootstrap import bootstrap_key
from tests.builders import an_api_key
from tests.fakes.clock import NOON, FakeClock
from tests.fakes.container import FakeContainer, as_container, settings_for_tests
from tests.sql import Sql
from tests.waiting import eventually

BOOT = "parlor_boot_" + "s" * 32


@pytest.fixture
def sql(database: Database) -> Sql:
    return Sql(database)


@pytest.fixture
def fake(sql: Sql) -> FakeContainer:
    fake = FakeContainer(settings_for_tests(PARLOR_BOOTSTRAP_API_KEY=f"{BOOT}=a:b"))
    work: Any = sql.work
    clock = FakeClock()
    fake.ports = {ApiKeyViews: SqlApiKeyViews(sql.database), Clock: clock}
    fake.commands = {kind: kind(work, clock) for kind in (IssueApiKey, RevokeApiKey, KeepBootstrapKey)}
    return fake


@pytest.fixture
def container(fake: FakeContainer) -> Container:
    return as_container(fake)


def given(**options: object) -> Namespace:
    return Namespace(**{"name": "films", "scope": ["films:watch"], "days": None, "id": [], **options})


async def test_a_new_key_is_all_that_is_printed(
    sql: Sql, container: Container, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await command.create_key(container, given(days=3)) == 0
    printed = capsys.readouterr()
    (shown,) = printed.out.split()
    known = await SqlKeyRing(sql.database).find(shown.split("_")[1])
    assert known is not None
    assert known.admits(shown, NOON)
    assert (known.maker_id, known.scopes) == (None, frozenset({"films:watch"}))
    assert known.expires_at == NOON + timedelta(days=3)
    assert str(known.id) in printed.err
    assert shown not in printed.err


async def test_a_line_says_what_a_key_is_and_not_what_it_reads(
    container: Container, capsys: pytest.CaptureFixture[str]
) -> None:
    await command.create_key(container, given())
    shown = capsys.readouterr().out.strip()
    assert await command.list_keys(container, given()) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.split("  ")[1:] == [
        f"parlor_{shown.split('_')[1]}_…{shown[-4:]}",
        "films",
        "films:watch",
        "by the server",
        "until revoked",
        "used never",
    ]
    assert shown not in line


async def test_keys_are_revoked_by_their_ids(
    sql: Sql, container: Container, capsys: pytest.CaptureFixture[str]
) -> None:
    key = an_api_key()
    async with sql.work() as work:
        await work.api_keys.add(key)
    unknown = uuid7()
    assert await command.revoke_keys(container, given(id=[unknown, key.id])) == 1
    printed = capsys.readouterr()
    assert printed.out == f"{key.id} revoked\n"
    assert str(unknown) in printed.err
    assert await sql.value("select revoked_at from api_keys") == NOON


@pytest.mark.parametrize(
    "line",
    [
        "create --scope a:b",
        "create --name films --days 0",
        "create --name films --days x",
        "revoke",
        "revoke films",
    ],
)
def test_what_is_not_clear_is_refused(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["api-keys", *line.split()])
    assert ended.value.code == 2
    assert "api-keys" in capsys.readouterr().err


# From the start


async def served(container: Container, until: Callable[[], Awaitable[object]]) -> None:
    async with bootstrap_key(container):
        await eventually(until)


async def test_the_key_is_there_before_anything_is_served(sql: Sql, container: Container) -> None:
    async with bootstrap_key(container):
        assert await SqlKeyRing(sql.database).find("boot") is not None


async def test_a_database_that_is_away_at_the_start_is_asked_again(
    sql: Sql, fake: FakeContainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "AGAIN_EVERY_S", 0.01)
    keep, asked = fake.commands[KeepBootstrapKey], []

    async def away_at_first(*words: Any) -> Any:
        asked.append(1)
        if len(asked) == 2:
            raise LookupError("no such table")
        if len(asked) < 4:
            raise DatabaseAway
        return await keep(*words)

    fake.commands[KeepBootstrapKey] = away_at_first
    await served(as_container(fake), lambda: SqlKeyRing(sql.database).find("boot"))
    assert len(asked) == 4


async def test_a_process_ends_although_the_database_never_came(
    fake: FakeContainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any) -> Any:
        raise DatabaseAway

    fake.commands[KeepBootstrapKey] = away
    async with asyncio.timeout(5), bootstrap_key(as_container(fake)):
        await asyncio.sleep(0)


async def test_a_prefix_of_somebody_elses_key_is_left_to_it(sql: Sql, container: Container) -> None:
    async with sql.work() as work:
        await work.api_keys.add(an_api_key("parlor_boot_" + "x" * 32))
    async with bootstrap_key(container):
        pass
    assert await sql.value("select count(*) from api_keys") == 1
