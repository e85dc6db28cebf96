"""`parlor check` against real servers, right and wrong: each line says what is the case, and what to do."""

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from structlog.testing import capture_logs

from parlor.adapters.rabbitmq.connection import visit
from parlor.adapters.rabbitmq.topology import Names, declare
from parlor.adapters.sql.capacity import Capacity, ConnectionsScarce, StartingLook
from parlor.adapters.sql.engine import Database
from parlor.config import BadSettings, Settings
from parlor.entrypoints.check import REMEDIES, check
from tests.fakes.container import settings_for_tests
from tests.rabbitmq import a_namespace, remove

NOWHERE = "127.0.0.1:1"
LINES = [
    "settings",
    "database",
    "migrations",
    "redis",
    "rabbitmq",
    "connections",
    "clock",
    "topology",
    "publishing",
]


@pytest.fixture
async def right(database_url: str, redis_url: str, rabbitmq_url: str) -> AsyncIterator[dict[str, str]]:
    """Name servers that are as they should be."""
    namespace = a_namespace()
    async with visit(rabbitmq_url) as channel:
        await declare(channel, namespace)
    yield {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "RABBITMQ_URL": rabbitmq_url,
        "PARLOR_NAMESPACE": namespace,
    }
    await remove(rabbitmq_url, Names(namespace))


async def asked(capsys: pytest.CaptureFixture[str], given: dict[str, str]) -> tuple[int, dict[str, str]]:
    """Run it; answers its exit status, and what it says of each part."""
    code = await check(settings_for_tests(**given))
    said = capsys.readouterr().out
    return code, dict(re.findall(r"^(\w+) +(ok|NOT OK .*\n +→ .*)$", said, re.MULTILINE))


async def test_all_is_right(right: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert await asked(capsys, right) == (0, dict.fromkeys(LINES, "ok"))


def elsewhere(url: str) -> str:
    return re.sub(
        r"@[^/]+|(?<=redis://)[^/]+", lambda found: f"@{NOWHERE}" if found[0][0] == "@" else NOWHERE, url
    )


WRONG = {
    "no database": ("DATABASE_URL", elsewhere, {"database"}),
    "a database that is not there": ("DATABASE_URL", lambda url: f"{url}_nope", {"database"}),
    "no redis": ("REDIS_URL", elsewhere, {"redis"}),
    "no broker": ("RABBITMQ_URL", elsewhere, {"rabbitmq"}),
    "a broker that lets nobody in": ("RABBITMQ_URL", lambda url: url.replace("//", "//x", 1), {"rabbitmq"}),
    "a virtual host that is not there": ("RABBITMQ_URL", lambda url: f"{url.rstrip('/')}/nope", {"rabbitmq"}),
    "exchanges that are not there": ("PARLOR_NAMESPACE", lambda _: a_namespace(), {"topology"}),
}


@pytest.mark.parametrize("wrong", WRONG)
async def test_what_is_wrong_is_told_with_what_to_do(
    right: dict[str, str], capsys: pytest.CaptureFixture[str], wrong: str
) -> None:
    """Where a server is away, nothing is said of what stands in it."""
    name, change, blamed = WRONG[wrong]
    code, told = await asked(capsys, right | {name: change(right[name])})
    found = {part for part, line in told.items() if line != "ok"}
    assert (code, found) == (1, blamed)
    assert all(line.endswith(f"→ {REMEDIES[part]}") for part, line in told.items() if line != "ok")


async def test_an_empty_database_is_to_be_migrated(
    right: dict[str, str], empty_database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, told = await asked(capsys, right | {"DATABASE_URL": empty_database_url})
    assert (code, told["database"]) == (1, "ok")
    assert "run `parlor migrate`" in told["migrations"]


@pytest.mark.parametrize("url", ["garbage", "http://localhost", "redis//x"])
@pytest.mark.parametrize("name", ["REDIS_URL", "RABBITMQ_URL", "DATABASE_URL"])
async def test_an_address_of_another_kind_is_a_wrong_setting(
    right: dict[str, str], capsys: pytest.CaptureFixture[str], name: str, url: str
) -> None:
    code, told = await asked(capsys, right | {name: url})
    assert code == 1
    assert told.keys() == {"settings"}
    assert f"{name} must begin with" in told["settings"]
    assert url not in told["settings"]


async def test_the_key_for_development_is_told_of(
    right: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    await check(settings_for_tests(**right, SECURITY_SECRET_KEY=""))
    assert "set SECURITY_SECRET_KEY" in capsys.readouterr().out


def test_a_short_secret_is_no_setting() -> None:
    with pytest.raises(ValueError, match="at least 32 bytes"):
        Settings(SECURITY_SECRET_KEY="short")
    assert issubclass(BadSettings, ValueError)


@pytest.mark.parametrize(("others", "fits"), [(87, True), (88, False)])
def test_a_pool_fits_beside_what_others_have_open_or_it_is_told_so(others: int, fits: bool) -> None:
    capacity = Capacity(allowed=97, others=others, ahead_s=0)
    if fits:
        capacity.must_hold(10)
    else:
        with pytest.raises(ConnectionsScarce, match=r"may open 10 .* others have 88 .* allows 97"):
            capacity.must_hold(10)


async def test_a_process_that_may_open_too_many_connections_says_so_at_its_start(database: Database) -> None:
    """And works as far as it can: nothing is refused."""
    for pool, warned in ((1_000_000, ["connections_scarce"]), (1, [])):
        with capture_logs() as lines:
            await StartingLook(database, pool).look()
        assert [line["event"] for line in lines] == warned
        assert all("max_connections" in line["do"] for line in lines)


async def test_connections_are_counted_whoever_has_opened_them(database: Database, database_url: str) -> None:
    """Each of a pool's that is in use; and a database that is away is not waited for."""
    async with AsyncExitStack() as used:
        for _ in range(3):
            await used.enter_async_context(database.session())
        with capture_logs() as lines:
            await StartingLook(database, 1_000_000).look()
    assert int(re.findall(r"others have (\d+)", lines[0]["detail"])[0]) >= 3
    away = Database(elsewhere(database_url), size=1, name="tests")
    await away.open()
    with capture_logs() as lines:
        await StartingLook(away, 1).look()
    await away.close()
    assert [line["event"] for line in lines] == ["connections_not_counted"]


@pytest.mark.parametrize(("ahead_s", "told"), [(7.2, "7 s ahead of"), (-7.2, "7 s behind")])
def test_clocks_that_differ_are_told_with_the_way(ahead_s: float, told: str) -> None:
    with pytest.raises(RuntimeError, match=told):
        Capacity(allowed=97, others=0, ahead_s=ahead_s).must_agree()
