"""`parlor dead-letters`: which letters it means, what it says of each, and how it ends."""

import json
from argparse import Namespace
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

import pytest

from parlor.adapters.sql.engine import Database
from parlor.adapters.sql.letters import SqlLetterViews
from parlor.container import Container
from parlor.core.shared.errors import NotFound
from parlor.core.tasks.letters import DiscardDeadLetter, ReplayDeadLetter
from parlor.core.tasks.ports import LetterViews
from parlor.entrypoints import dead_letters as command
from parlor.entrypoints.cli import main
from tests.builders import a_letter
from tests.fakes.clock import NOON
from tests.fakes.container import FakeContainer, as_container, settings_for_tests
from tests.sql import Sql

Run = Callable[[Container, Namespace], Awaitable[int]]


@pytest.fixture
def sql(database: Database) -> Sql:
    return Sql(database)


@pytest.fixture
def container(sql: Sql) -> Container:
    fake = FakeContainer(settings_for_tests())
    fake.ports = {LetterViews: SqlLetterViews(sql.database)}
    fake.commands = {
        ReplayDeadLetter: ReplayDeadLetter(sql.work, clock=lambda: NOON),
        DiscardDeadLetter: DiscardDeadLetter(sql.work),
    }
    return as_container(fake)


async def kept(sql: Sql, *reasons: str, **fields: Any) -> list[UUID]:
    letters = [a_letter(reason=reason, **fields) for reason in reasons]
    async with sql.work() as work:
        for letter in letters:
            await work.letters.add(letter)
    return [letter.id for letter in letters]


def given(*ids: UUID, **options: object) -> Namespace:
    return Namespace(**{"id": list(ids), "all": False, "reason": None, "limit": 20, **options})


async def test_a_line_says_what_a_letter_is(
    sql: Sql, container: Container, capsys: pytest.CaptureFixture[str]
) -> None:
    """The newest first, and whatever its producer wrote, on one line."""
    old, new = await kept(sql, "not_json", "missing_id", message_id="a\n\x1b[2Jb")
    await command.replay_letters(container, given(old))
    capsys.readouterr()
    assert await command.list_letters(container, given()) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.split("  ")[0::2] == [str(new), "missing_id", "a\ufffd\ufffd[2Jb"]
    assert second.startswith(str(old))
    assert second.endswith("  replayed")


async def test_a_list_has_as_many_lines_as_asked_for(
    sql: Sql, container: Container, capsys: pytest.CaptureFixture[str]
) -> None:
    """Over as many pages as that takes; and it says where there are more."""
    await kept(sql, *["not_json"] * 25, "missing_id")
    for limit, lines in ((25, 26), (26, 26), (1, 2)):
        assert await command.list_letters(container, given(limit=limit)) == 0
        assert len(capsys.readouterr().out.splitlines()) == lines
    await command.list_letters(container, given(reason="missing_id"))
    assert len(capsys.readouterr().out.splitlines()) == 1


async def test_one_is_shown_whole(sql: Sql, container: Container, capsys: pytest.CaptureFixture[str]) -> None:
    (letter_id,) = await kept(sql, "not_json", body=b"{", headers={"shop": "north"})
    assert await command.show_letter(container, Namespace(id=letter_id)) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["id"], shown["body"], shown["headers"]) == (str(letter_id), "{", {"shop": "north"})
    with pytest.raises(NotFound):
        await command.show_letter(container, Namespace(id=uuid4()))


@pytest.mark.parametrize(
    ("act", "acted_on"),
    [
        ((command.replay_letters, {"all": True}), [2, 1]),
        ((command.replay_letters, {"reason": "not_json"}), [2]),
        ((command.discard_letters, {"all": True}), [2, 1, 0]),
        ((command.discard_letters, {"reason": "not_json"}), [2, 0]),
    ],
    ids=["replay all", "replay some", "discard all", "discard some"],
)
async def test_those_that_fit_are_acted_on(
    sql: Sql,
    container: Container,
    capsys: pytest.CaptureFixture[str],
    act: tuple[Run, dict[str, object]],
    acted_on: list[int],
) -> None:
    """The first was replayed before: it is not replayed again, but thrown away like the others."""
    run, options = act
    ids = await kept(sql, "not_json", "missing_id", "not_json")
    await command.replay_letters(container, given(ids[0]))
    capsys.readouterr()
    assert await run(container, given(**options)) == 0
    done = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert done == [str(ids[number]) for number in acted_on]
    assert await run(container, given(**options)) == 0
    assert capsys.readouterr().out == ""


async def test_what_cannot_be_done_is_told_and_stops_nothing(
    sql: Sql, container: Container, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = await kept(sql, "not_json", "not_json")
    unknown = uuid4()
    await command.replay_letters(container, given(one))
    capsys.readouterr()
    assert await command.replay_letters(container, given(one, unknown, two)) == 1
    told = capsys.readouterr()
    assert told.out == f"{two} replayed\n"
    replayed, not_found = told.err.splitlines()
    assert replayed.startswith(f"parlor: {one}: This dead letter was replayed before")
    assert not_found.startswith(f"parlor: {unknown}: There is no such thing")


@pytest.mark.parametrize(
    ("which", "clear"),
    [
        (given(), False),
        (given(UUID(int=7)), True),
        (given(all=True), True),
        (given(reason="x"), True),
        (given(all=True, reason="x"), True),
        (given(UUID(int=7), all=True), False),
        (given(UUID(int=7), reason="x"), False),
    ],
    ids=["none", "ids", "all", "reason", "all of a reason", "ids and all", "ids and reason"],
)
def test_it_must_be_clear_which_are_meant(which: Namespace, *, clear: bool) -> None:
    assert command.is_clear(which) is clear


@pytest.mark.parametrize(
    "arguments", [["show", "nonsense"], ["replay", "nonsense"], ["list", "--limit", "x"]]
)
def test_nonsense_is_refused_with_the_usage(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["dead-letters", *arguments])
    assert ended.value.code == 2
