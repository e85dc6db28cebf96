"""Finding messages: in which chats, in which scripts, page by page, and from which index."""

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio

from parlor.adapters.sql import chat_search
from parlor.adapters.sql.message_rows import chat_word
from parlor.core.shared.ids import ChatId
from tests.chat_house import House, Person, a_house

pytestmark = pytest.mark.asyncio(loop_scope="module")

SAID = [
    "Who has seen the dragon?",
    "Two dragons, they say.",
    "我们去北京吃饭",
    "今夜はラーメンを食べる",
    "Привет, как дела?",
    "the quick brown fox",
]


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="house")
async def one_house(postgres_url: str, template: str) -> AsyncIterator[House]:
    async with a_house(postgres_url, template) as house:
        yield house


async def found(person: Person, chat: str, query: str, **params: Any) -> list[str]:
    page = await person.gets(f"{chat}/search", q=query, **params)
    return [message["text"] for message in page["items"]]


EXAMPLES = [
    ("word", "quick", [5]),
    ("words", "fox QUICK", [5]),
    ("beginning", "drag", [1, 0]),
    ("slip", "dargon", [1, 0]),
    ("slip beside a right word", "quick bron", [5]),
    ("slip in Russian", "превет", [4]),
    ("Russian", "ПРИВЕТ", [4]),
    ("Chinese", "北京", [2]),
    ("Japanese", "ラーメン", [3]),
    ("one character", "夜", [3]),
    ("nothing", "unicorn", []),
    ("no word", "!?", []),
    ("signs", "' | & : * \\", []),
]


@pytest.mark.parametrize(("query", "places"), [one[1:] for one in EXAMPLES], ids=[one[0] for one in EXAMPLES])
async def test_messages_are_found_by_their_words_newest_first(
    house: House, query: str, places: list[int]
) -> None:
    ada, bob = await house.people(2)
    chat, other = await ada.opens(bob), await ada.opens(bob)
    for text in SAID:
        await ada.says(chat, text)
    assert await found(bob, chat, query) == [SAID[place] for place in places]
    assert await found(bob, other, query) == []


async def test_a_message_is_found_by_what_it_says_now(house: House) -> None:
    ada = await house.person()
    chat = await ada.opens()
    one, two = await ada.says(chat, "apples"), await ada.says(chat, "pears")
    await ada.asks("PATCH", f"{chat}/messages/{one['id']}", {"text": "plums"})
    await ada.asks("DELETE", f"{chat}/messages/{two['id']}")
    assert [await found(ada, chat, word) for word in ("apples", "pears", "plums")] == [[], [], ["plums"]]


@pytest.mark.parametrize("query", ["c", "ch", "cha", "chat", "C#", "chat:", "#", "chaz"])
async def test_what_the_chat_itself_is_found_by_is_no_word(house: House, query: str) -> None:
    ada = await house.person()
    chat = await ada.opens()
    await ada.says(chat, "apples")
    plums = await ada.says(chat, "pears")
    await ada.asks("PATCH", f"{chat}/messages/{plums['id']}", {"text": "plums"})
    name = UUID(chat[1:]).hex
    assert [await found(ada, chat, q) for q in (query, name, name[:6], name[:-1] + "-")] == [[]] * 4
    assert await found(ada, chat, "plum") == ["plums"]


@pytest.mark.parametrize("query", ["berry", "bery"])
async def test_what_is_found_comes_page_by_page(house: House, query: str) -> None:
    ada = await house.person()
    chat = await ada.opens()
    for n in range(5):
        await ada.says(chat, f"berry {n}")
        await ada.says(chat, "other")
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while cursor != {"cursor": None}:
        page = await ada.gets(f"{chat}/search", q=query, limit=2, **cursor)
        seen += [message["text"] for message in page["items"]]
        cursor = {"cursor": page["next_cursor"]}
    assert seen == [f"berry {n}" for n in (4, 3, 2, 1, 0)]


async def test_a_query_is_checked(house: House) -> None:
    ada = await house.person()
    chat = await ada.opens()
    for query, code in (
        ("", "blank"),
        (" ", "blank"),
        ("x" * 201, "too_long"),
        ("a\x00", "control_character"),
    ):
        answer = await ada.asks("GET", f"{chat}/search", params={"q": query})
        assert [(one["pointer"], one["code"]) for one in answer.json()["errors"]] == [("query:q", code)]
    assert (await ada.asks("GET", f"{chat}/search")).json()["errors"][0]["code"] == "required"
    answer = await ada.asks("GET", f"{chat}/search", params={"q": "x", "cursor": "x"})
    assert answer.json()["code"] == "invalid_cursor"


async def test_a_search_is_given_half_a_second(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A statement that takes longer ends as a clear error, and the connection lives on without that limit."""
    ada = await house.person()
    chat = await ada.opens()
    monkeypatch.setattr(chat_search, "_MAY", "select pg_sleep(30), $1::uuid, $2::uuid")
    answer = await ada.asks("GET", f"{chat}/search", params={"q": "x"})
    assert (answer.status_code, answer.json()["code"]) == (503, "database_timeout")
    assert await house.sql.value("show statement_timeout") == "30s"


async def test_a_hundred_thousand_messages_are_never_read_from_end_to_end(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each statement finds its rows by an index; a common word of a chat is found among that chat's alone."""
    monkeypatch.setattr(chat_search, "_BEGIN", "begin read only")
    ada = await house.person()
    large, small = await ada.opens(), await ada.opens()
    for chat, number in ((large, 100_000), (small, 50)):
        await house.sql.execute(
            """insert into messages (chat_id, seq, id, rev, author_id, kind, text, created_at, found_by)
               select $1::text::uuid, n, gen_random_uuid(), n, $2, 'user', 'common word ' || n, now(),
                      array_to_tsvector(array[$3, 'common', 'word', n::text])
                 from generate_series(1, $4::int) n""",
            chat[1:],
            ada.id,
            chat_word(ChatId(UUID(chat[1:]))),
            number,
        )
    await house.sql.execute("update chat_heads set last_seq = 100000, last_rev = 100000")
    await house.sql.execute("analyze messages")
    for chat, word, number in (
        (large, "77777", 1),
        (small, "common", 50),
        (small, "49", 1),
        (large, "common", 50),
    ):
        query = chat_search._tsquery(ChatId(UUID(chat[1:])), [[word + "*"]])
        plan = await explained(house, chat_search._FIND, chat[1:], query, 2**63 - 1, 50)
        assert "Seq Scan" not in plan
        assert len(await found(ada, chat, word)) == number
    plan = await explained(house, chat_search._WORDS, large[1:])
    assert "Index Scan" in plan
    assert "Seq Scan" not in plan
    assert await found(ada, large, "99998 comon") == ["common word 99998"]
    history = await ada.gets(f"{large}/messages", before=500, limit=2)
    assert [message["seq"] for message in history["items"]] == [498, 499]


async def explained(house: House, statement: str, chat_id: str, *arguments: object) -> str:
    rows = await house.sql.rows("explain " + statement, UUID(chat_id), *arguments)
    return "\n".join(json.dumps(row["QUERY PLAN"]) for row in rows)
