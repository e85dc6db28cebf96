"""Dead letters as readers see them: for managers, page by page, in the bytes that go out."""

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from parlor.adapters.sql import letters
from parlor.adapters.sql.engine import Database
from parlor.adapters.sql.letters import SqlLetterViews
from parlor.core.shared.actor import PermissionMissing
from parlor.core.shared.errors import NotFound
from parlor.core.shared.ids import DeadLetterId, uuid7
from parlor.core.shared.paging import Key, PageRequest
from parlor.core.tasks.letters import ReplayDeadLetter
from parlor.core.tasks.model import MANAGE, DeadLetter
from tests.builders import a_letter, an_actor
from tests.fakes.clock import NOON
from tests.sql import Sql

MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
ADA, MANAGER = an_actor("tasks:create"), an_actor(MANAGE)


@pytest.fixture
def sql(database: Database) -> Sql:
    return Sql(database)


@pytest.fixture
def shown(database: Database) -> SqlLetterViews:
    return SqlLetterViews(database)


async def kept(sql: Sql, *letters: DeadLetter) -> list[DeadLetterId]:
    async with sql.work() as work:
        for letter in letters:
            await work.letters.add(letter)
    return [letter.id for letter in letters]


async def test_dead_letters_are_for_managers(shown: SqlLetterViews) -> None:
    """Before anything is looked up."""
    with pytest.raises(PermissionMissing):
        await shown.page(ADA, PageRequest(), reason=None)
    with pytest.raises(PermissionMissing):
        await shown.ids(ADA, PageRequest(), reason=None, replayed=True)
    with pytest.raises(PermissionMissing):
        await shown.one(ADA, DeadLetterId(uuid7()))


async def test_a_dead_letter_is_shown_as_it_came(sql: Sql, shown: SqlLetterViews) -> None:
    text = DeadLetter(
        reason="not_json",
        detail="The body is not JSON.",
        message_id="order-7",
        routing_key="default",
        headers={"x-origin": "shop", "nested": {"when": datetime(2026, 3, 1, tzinfo=UTC)}},
        body='{"kind": "ünknown"'.encode(),
        content_type="application/json",
    )
    raw = DeadLetter("not_json", "No.", None, None, body=b"\xff\x00\xfe")
    await kept(sql, text, raw)
    answer = await shown.page(MANAGER, PageRequest(), reason=None)
    second, first = json.loads(answer.items)
    assert MOMENT.fullmatch(first.pop("dead_at"))
    assert UUID(first.pop("id")).version == 7
    assert first == {
        "reason": "not_json",
        "detail": "The body is not JSON.",
        "message_id": "order-7",
        "routing_key": "default",
        "headers": {"x-origin": "shop", "nested": {"when": "2026-03-01 00:00:00+00:00"}},
        "body": '{"kind": "ünknown"',
        "body_encoding": "utf-8",
        "content_type": "application/json",
        "replayed_at": None,
    }
    assert (second["body"], second["body_encoding"]) == ("/wD+", "base64")


@pytest.mark.parametrize("text", ["\0", "\ud800", "a\0b\udfff", r"\u0000", r"\ud800"])
async def test_a_dead_letter_is_kept_whatever_it_holds(sql: Sql, shown: SqlLetterViews, text: str) -> None:
    """Never a crash, never silence: what PostgreSQL cannot hold is left out."""
    letter = DeadLetter(
        text,
        text,
        text,
        text,
        headers={text: text, "list": [text, {text: float("nan")}]},
        body=b"\0",
        content_type=text,
    )
    await kept(sql, letter)
    (found,) = json.loads((await shown.page(MANAGER, PageRequest(), reason=None)).items)
    assert found["body"] == "AA=="


async def test_dead_letters_come_in_pages(sql: Sql, shown: SqlLetterViews) -> None:
    for number in range(5):
        await kept(sql, a_letter(detail=str(number)))
    details, key = [], None
    for _ in range(3):
        answer = await shown.page(MANAGER, PageRequest(2, key), reason=None)
        details += [item["detail"] for item in json.loads(answer.items)]
        key = answer.next_key
    assert (details, key) == (["4", "3", "2", "1", "0"], None)


async def test_one_letter_is_shown_alone(sql: Sql, shown: SqlLetterViews) -> None:
    (letter_id,) = await kept(sql, a_letter(body=b"{"))
    (listed,) = json.loads((await shown.page(MANAGER, PageRequest(), reason=None)).items)
    assert json.loads(await shown.one(MANAGER, letter_id)) == listed
    with pytest.raises(NotFound):
        await shown.one(MANAGER, DeadLetterId(uuid7()))


async def test_only_those_of_a_reason_are_listed(sql: Sql, shown: SqlLetterViews) -> None:
    """On every page."""
    letters = [a_letter(reason=reason) for reason in ("not_json", "unknown_kind") * 3]
    ids = await kept(sql, *letters)
    listed, key = list[UUID](), None
    for _ in range(2):
        answer = await shown.page(MANAGER, PageRequest(2, key), reason="unknown_kind")
        listed += [UUID(item["id"]) for item in json.loads(answer.items)]
        key = answer.next_key
    assert (listed, key) == ([ids[5], ids[3], ids[1]], None)
    assert (await shown.page(MANAGER, PageRequest(), reason="nothing")).items == b"[]"


async def listed_ids(shown: SqlLetterViews, *, reason: str | None, replayed: bool) -> Sequence[DeadLetterId]:
    found: list[DeadLetterId] = []
    key: Key | None = None
    while True:
        page = await shown.ids(MANAGER, PageRequest(2, key), reason=reason, replayed=replayed)
        found += page.items
        key = page.next_key
        if key is None:
            return found


async def test_the_ids_alone_are_listed_with_or_without_what_was_replayed(
    sql: Sql, shown: SqlLetterViews
) -> None:
    one, two, three, other = await kept(sql, *[a_letter() for _ in range(3)], a_letter(reason="missing_id"))
    await ReplayDeadLetter(sql.work, clock=lambda: NOON)(MANAGER, two)
    assert await listed_ids(shown, reason=None, replayed=True) == [other, three, two, one]
    assert await listed_ids(shown, reason=None, replayed=False) == [other, three, one]
    assert await listed_ids(shown, reason="not_json", replayed=False) == [three, one]


async def test_old_letters_are_forgotten(sql: Sql, shown: SqlLetterViews) -> None:
    """Replayed or not; what is to be sent again is sent."""
    old, new = await kept(sql, a_letter(), a_letter())
    await ReplayDeadLetter(sql.work, clock=lambda: NOON)(MANAGER, old)
    await sql.execute("update dead_letters set dead_at = dead_at - interval '91 days' where id = $1", old)
    assert await sql.upkeep.forget_letters(timedelta(days=90)) == 1
    assert await sql.upkeep.forget_letters(timedelta(days=90)) == 0
    assert await listed_ids(shown, reason=None, replayed=True) == [new]
    assert await sql.value("select count(*) from replay_outbox") == 1


async def test_a_page_is_shorter_where_the_bodies_are_large(
    sql: Sql, shown: SqlLetterViews, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One letter at least, however large; and the pages together hold all."""
    monkeypatch.setattr(letters, "_FIT", letters._FIT.replace(str(letters.PAGE_BYTES), "1000"))
    sizes = [10, 5000, 600, 600, 600, 10]
    dead = [NOON + timedelta(seconds=number) for number in range(len(sizes))]
    ids = await kept(sql, *(a_letter(body=b"x" * size) for size in sizes))
    for letter_id, moment in zip(ids, dead, strict=True):
        await sql.execute("update dead_letters set dead_at = $2 where id = $1", letter_id, moment)
    found: list[list[int]] = []
    key: Key | None = None
    while key or not found:
        page = await shown.page(MANAGER, PageRequest(50, key), reason=None)
        found.append([len(item["body"]) for item in json.loads(page.items)])
        key = page.next_key
    assert found == [[10, 600, 600], [600, 5000], [10]]
