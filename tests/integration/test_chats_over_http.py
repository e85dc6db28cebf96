"""Chats over HTTP on a real database: who may do what, and what is shown."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from parlor.core.shared.ids import uuid7
from tests.chat_house import House, Person, a_house

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="house")
async def one_house(postgres_url: str, template: str) -> AsyncIterator[House]:
    async with a_house(postgres_url, template) as house:
        yield house


def code_of(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def flaws_of(answer: Any) -> list[tuple[str, str]]:
    assert answer.status_code == 422, answer.text
    return [(flaw["pointer"], flaw["code"]) for flaw in answer.json()["errors"]]


# Opening


async def test_a_group_is_shown_to_those_who_are_in_it(house: House) -> None:
    ada, bob, eve = await house.people(3)
    made = await ada.asks("POST", "", {"kind": "group", "title": "Fans", "member_ids": [str(bob.id)]})
    chat = made.json()
    assert made.status_code == 201
    assert made.headers["location"] == f"/api/v1/chats/{chat['id']}"
    assert made.headers["etag"] == '"1"'
    assert chat | {"created_at": "", "updated_at": ""} == {
        "id": chat["id"],
        "kind": "group",
        "title": "Fans",
        "party_id": None,
        "member_count": 2,
        "last_seq": 0,
        "last_rev": 0,
        "unread_count": 0,
        "created_at": "",
        "updated_at": "",
        "version": 1,
    }
    for member in (ada, bob):
        read = await member.asks("GET", f"/{chat['id']}")
        assert (read.json(), read.headers["etag"]) == (chat, '"1"')
        assert (await member.gets(""))["items"] == [chat]
    absent = await eve.asks("GET", f"/{uuid4()}")
    refused = await eve.asks("GET", f"/{chat['id']}")
    assert code_of(refused) == (404, "not_found")
    assert refused.json() | {"request_id": ""} == absent.json() | {"request_id": ""}
    assert (await eve.gets(""))["items"] == []


async def test_two_people_have_one_direct_chat_whoever_asks(house: House) -> None:
    ada, bob = await house.people(2)
    one = await ada.asks("POST", "", {"kind": "direct", "member_ids": [str(bob.id)]})
    again = await bob.asks(
        "POST", "", {"kind": "direct", "member_ids": [str(bob.id), str(ada.id), str(ada.id)]}
    )
    assert (one.status_code, again.status_code) == (201, 200)
    assert one.json() == again.json()
    members = (await ada.gets(f"/{one.json()['id']}/members"))["items"]
    assert {member["role"] for member in members} == {"member"}


async def test_whoever_opens_the_same_direct_chat_at_once_gets_one(house: House) -> None:
    ada, bob = await house.people(2)
    asked = [
        one.asks("POST", "", {"kind": "direct", "member_ids": [str(two.id)]})
        for one, two in ((ada, bob), (bob, ada)) * 4
    ]
    answers = await asyncio.gather(*asked)
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1


async def test_what_is_asked_for_is_checked(house: House) -> None:
    ada, bob = await house.people(2)
    me, other, nobody = str(ada.id), str(bob.id), str(uuid4())
    refused: list[tuple[dict[str, Any], list[tuple[str, str]]]] = [
        ({"kind": "party", "member_ids": []}, [("/kind", "not_allowed")]),
        ({"kind": "room", "member_ids": []}, [("/kind", "not_allowed")]),
        ({"kind": "group"}, [("/member_ids", "required")]),
        ({"kind": "direct", "member_ids": []}, [("/member_ids", "one_other")]),
        ({"kind": "direct", "member_ids": [me]}, [("/member_ids", "one_other")]),
        ({"kind": "direct", "member_ids": [other, nobody]}, [("/member_ids", "one_other")]),
        ({"kind": "direct", "title": "Us", "member_ids": [other]}, [("/title", "no_title")]),
        ({"kind": "direct", "member_ids": [nobody]}, [("/member_ids/0", "unknown_user")]),
        (
            {"kind": "group", "member_ids": [other, nobody, me, nobody]},
            [("/member_ids/1", "unknown_user"), ("/member_ids/3", "unknown_user")],
        ),
        ({"kind": "group", "member_ids": ["x"]}, [("/member_ids/0", "invalid_uuid")]),
        ({"kind": "group", "member_ids": [str(uuid7()) for _ in range(257)]}, [("/member_ids", "too_long")]),
        (
            {"kind": "group", "member_ids": [str(uuid7()) for _ in range(256)]},
            [("/member_ids", "too_many_members")],
        ),
        ({"kind": "group", "member_ids": [], "title": " "}, [("/title", "blank")]),
        ({"kind": "group", "member_ids": [], "title": "x" * 101}, [("/title", "too_long")]),
        ({"kind": "group", "member_ids": [], "title": "a\nb"}, [("/title", "control_character")]),
        ({"kind": "group", "member_ids": [], "id": me}, [("/id", "unknown_field")]),
    ]
    for body, flaws in refused:
        assert flaws_of(await ada.asks("POST", "", body)) == flaws, body
    assert (await ada.gets(""))["items"] == []


async def test_a_repetition_is_the_chat_as_it_is_now(house: House) -> None:
    ada, bob = await house.people(2)
    body, key = {"kind": "group", "member_ids": []}, {"idempotency-key": "k"}
    first = await ada.asks("POST", "", body, headers=key)
    await ada.says(f"/{first.json()['id']}")
    again = await ada.asks("POST", "", body, headers=key)
    assert (again.status_code, again.json()["last_seq"]) == (201, 1)
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["location"] == first.headers["location"]
    other = await ada.asks("POST", "", body | {"title": "x"}, headers=key)
    assert code_of(other) == (422, "idempotency_key_reused")
    await ada.asks("DELETE", f"/{first.json()['id']}")
    assert code_of(await ada.asks("POST", "", body, headers=key)) == (404, "not_found")
    direct, again_key = {"kind": "direct", "member_ids": [str(bob.id)]}, {"idempotency-key": "d"}
    await bob.asks("POST", "", {"kind": "direct", "member_ids": [str(ada.id)]})
    for _ in range(2):
        assert (await ada.asks("POST", "", direct, headers=again_key)).status_code == 200


# The list


async def test_chats_stand_in_the_order_of_their_newest_activity(house: House) -> None:
    ada, bob = await house.people(2)
    chats = [await ada.opens(bob) for _ in range(5)]
    await bob.says(chats[1])
    await ada.asks("PATCH", chats[0], {"title": "First"})
    await ada.asks("POST", f"{chats[3]}/read", {"seq": 0})
    expected = [chats[n][1:] for n in (0, 1, 4, 3, 2)]
    seen: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    for _ in range(3):
        page = await ada.gets("", limit=2, with_messages=1, **cursor)
        seen += page["items"]
        cursor = {"cursor": page["next_cursor"]}
    assert cursor == {"cursor": None}
    assert [chat["id"] for chat in seen] == expected
    assert [len(chat["messages"]) for chat in seen] == [0, 1, 0, 0, 0]
    assert [chat["unread_count"] for chat in seen] == [0, 1, 0, 0, 0]
    times = [chat["updated_at"] for chat in seen]
    assert times == sorted(times, reverse=True)
    assert flaws_of(await ada.asks("GET", "", params={"cursor": "x"})) == [("query:cursor", "invalid_cursor")]


async def test_the_last_messages_come_along_where_they_are_asked_for(house: House) -> None:
    ada, bob = await house.people(2)
    chat = await ada.opens(bob)
    said = [await ada.says(chat, str(n)) for n in range(3)]
    shown = await ada.asks("GET", chat, params={"with_messages": 2})
    assert shown.json()["messages"] == said[1:]
    assert shown.headers["etag"] == '"1"'
    assert "messages" not in await ada.gets(chat)
    assert (await ada.gets(chat, with_messages=0))["messages"] == []
    for wrong in (-1, 51, "x"):
        answer = await ada.asks("GET", chat, params={"with_messages": wrong})
        assert [pointer for pointer, _ in flaws_of(answer)] == ["query:with_messages"]


# Changing and ending


async def test_the_owner_renames_under_the_tag_that_they_have_seen(house: House) -> None:
    ada, bob, eve = await house.people(3)
    chat = await ada.opens(bob, title="One")
    changed = await ada.asks("PATCH", chat, {"title": "Two"}, headers={"if-match": '"1"'})
    assert (changed.status_code, changed.json()["title"], changed.headers["etag"]) == (200, "Two", '"2"')
    for method in ("PATCH", "DELETE"):
        stale = await ada.asks(method, chat, {"title": "x"}, headers={"if-match": '"1"'})
        assert code_of(stale) == (412, "version_mismatch")
        assert code_of(await ada.asks(method, chat, {"title": "x"}, headers={"if-match": "1"})) == (
            422,
            "invalid_if_match",
        )
        assert code_of(await bob.asks(method, chat, {"title": "x"}, headers={"if-match": '"1"'})) == (
            403,
            "not_chat_owner",
        )
        assert code_of(await eve.asks(method, chat, {"title": "x"}, headers={"if-match": '"1"'})) == (
            404,
            "not_found",
        )
    for same in ({}, {"title": "Two"}):
        assert (await ada.asks("PATCH", chat, same)).headers["etag"] == '"2"'
    assert (await ada.asks("PATCH", chat, {"title": None})).json()["title"] is None
    assert (await ada.asks("DELETE", chat, headers={"if-match": '"3"'})).status_code == 204
    for person in (ada, bob):
        assert code_of(await person.asks("GET", chat)) == (404, "not_found")
        assert code_of(await person.asks("POST", f"{chat}/messages", {"text": "hi"})) == (404, "not_found")
    assert code_of(await ada.asks("DELETE", chat)) == (404, "not_found")


async def test_a_direct_chat_stays_what_it_is(house: House) -> None:
    ada, bob, eve = await house.people(3)
    chat = await ada.opens(bob, kind="direct")
    for asked in (
        ("PATCH", chat, {"title": "x"}),
        ("DELETE", chat, None),
        ("POST", f"{chat}/members", {"user_id": str(eve.id)}),
        ("DELETE", f"{chat}/members/{bob.id}", None),
        ("DELETE", f"{chat}/members/{ada.id}", None),
    ):
        assert code_of(await ada.asks(*asked)) == (409, "direct_chat")
        assert code_of(await eve.asks(*asked)) == (404, "not_found")
    assert (await ada.asks("PATCH", chat, {"title": "x"}, headers={"if-match": '"9"'})).status_code == 412


# Members


async def test_the_owner_takes_in_and_puts_out(house: House) -> None:
    ada, bob, eve = await house.people(3)
    chat = await ada.opens(bob)
    await ada.says(chat)
    taken = await ada.asks("POST", f"{chat}/members", {"user_id": str(eve.id)})
    member = taken.json()
    assert taken.status_code == 201
    assert member | {"joined_at": ""} == {
        "user_id": str(eve.id),
        "display_name": "Person 2",
        "role": "member",
        "joined_at": "",
        "read_seq": 1,
    }
    again = await ada.asks("POST", f"{chat}/members", {"user_id": str(eve.id)})
    assert (again.status_code, again.json()) == (200, member)
    assert (await eve.gets(f"{chat}/messages"))["items"][0]["text"] == "hi"
    assert (await eve.gets(chat))["unread_count"] == 0
    for asked in (
        ("POST", f"{chat}/members", {"user_id": str(ada.id)}),
        ("DELETE", f"{chat}/members/{bob.id}", None),
    ):
        assert code_of(await eve.asks(*asked)) == (403, "not_chat_owner")
    answer = await ada.asks("POST", f"{chat}/members", {"user_id": str(uuid4())})
    assert flaws_of(answer) == [("/user_id", "unknown_user")]
    assert (await ada.asks("DELETE", f"{chat}/members/{eve.id}")).status_code == 204
    assert code_of(await ada.asks("DELETE", f"{chat}/members/{eve.id}")) == (404, "not_found")
    for gone in ("", "/messages", "/members", "/changes"):
        assert code_of(await eve.asks("GET", f"{chat}{gone}")) == (404, "not_found")
    assert (await ada.gets(chat))["member_count"] == 2
    assert (await ada.gets(chat))["last_rev"] == 3
    assert (await ada.gets(chat))["version"] == 1


async def test_an_owner_who_leaves_hands_over_and_the_last_one_out_ends_it(house: House) -> None:
    ada, bob, eve = await house.people(3)
    chat = await ada.opens()
    for one in (eve, bob):
        await ada.asks("POST", f"{chat}/members", {"user_id": str(one.id)})
    assert (await ada.asks("DELETE", f"{chat}/members/{ada.id}")).status_code == 204
    roles = {one["user_id"]: one["role"] for one in (await bob.gets(f"{chat}/members"))["items"]}
    assert roles == {str(eve.id): "owner", str(bob.id): "member"}
    for one in (bob, eve):
        assert (await one.asks("DELETE", f"{chat}/members/{one.id}")).status_code == 204
    assert await house.sql.value("select ended_at is not null from chats where id = $1::text::uuid", chat[1:])


async def test_members_are_listed_page_by_page(house: House) -> None:
    people = await house.people(5)
    chat = await people[0].opens(*people[1:])
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while cursor != {"cursor": None}:
        page = await people[1].gets(f"{chat}/members", limit=2, **cursor)
        seen += [one["user_id"] for one in page["items"]]
        cursor = {"cursor": page["next_cursor"]}
    assert seen == sorted(str(person.id) for person in people)


async def test_a_group_is_full_at_256(house: House) -> None:
    ada, bob = await house.people(2)
    chat = await ada.opens()
    await house.sql.execute("update chats set member_count = 256 where id = $1::text::uuid", chat[1:])
    assert code_of(await ada.asks("POST", f"{chat}/members", {"user_id": str(bob.id)})) == (409, "chat_full")


# Messages


async def test_a_message_is_posted_and_read(house: House) -> None:
    ada, bob = await house.people(2)
    chat = await ada.opens(bob)
    posted = await ada.asks("POST", f"{chat}/messages", {"text": "two\n\tlines"})
    message = posted.json()
    assert (posted.status_code, "etag" in posted.headers) == (201, False)
    assert posted.headers["location"] == f"/api/v1/chats{chat}/messages/{message['id']}"
    assert message | {"id": "", "created_at": ""} == {
        "id": "",
        "chat_id": chat[1:],
        "seq": 1,
        "rev": 1,
        "author_id": str(ada.id),
        "kind": "user",
        "text": "two\n\tlines",
        "reply_to": None,
        "client_id": None,
        "edited_at": None,
        "deleted_at": None,
        "reactions": {},
        "created_at": "",
    }
    assert await bob.gets(f"{chat}/messages/{message['id']}") == message
    assert (await bob.gets(f"{chat}/messages")) == {"items": [message], "next_cursor": None}
    answer = await bob.says(chat, "yes", reply_to=message["id"])
    assert answer["reply_to"] == message["id"]


async def test_a_text_is_checked(house: House) -> None:
    ada, bob = await house.people(2)
    chat, other = await ada.opens(bob), await ada.opens(bob)
    elsewhere = await ada.says(other)
    first = await ada.says(chat, "\U0001f389" * 4000)
    assert len(first["text"]) == 4000
    assert len((await ada.says(chat, "e\u0301" * 4000))["text"]) == 4000
    refused: list[tuple[dict[str, Any], list[tuple[str, str]]]] = [
        ({}, [("/text", "required")]),
        ({"text": None}, [("/text", "wrong_type")]),
        ({"text": ""}, [("/text", "blank")]),
        ({"text": " \n\t\u3000"}, [("/text", "blank")]),
        ({"text": "x" * 4001}, [("/text", "too_long")]),
        ({"text": "a\rb"}, [("/text", "control_character")]),
        ({"text": "a\x00b"}, [("/text", "control_character")]),
        ({"text": "a", "client_id": ""}, [("/client_id", "too_short")]),
        ({"text": "a", "client_id": "x" * 65}, [("/client_id", "too_long")]),
        ({"text": "a", "client_id": "a\nb"}, [("/client_id", "control_character")]),
        ({"text": "a", "reply_to": "x"}, [("/reply_to", "invalid_uuid")]),
        ({"text": "a", "reply_to": elsewhere["id"]}, [("/reply_to", "unknown_message")]),
        ({"text": "a", "kind": "system"}, [("/kind", "unknown_field")]),
    ]
    for body, flaws in refused:
        assert flaws_of(await ada.asks("POST", f"{chat}/messages", body)) == flaws, body
    assert (await ada.gets(chat))["last_seq"] == 2
    wrong = await ada.asks("PATCH", f"{chat}/messages/{first['id']}", {"text": " "})
    assert flaws_of(wrong) == [("/text", "blank")]


async def test_the_same_client_id_is_the_same_message_for_ever(house: House) -> None:
    ada, bob = await house.people(2)
    chat = await ada.opens(bob)
    first = await ada.says(chat, "one", client_id="c")
    body = {"text": "one", "client_id": "c"}
    again = await ada.asks("POST", f"{chat}/messages", body)
    assert (again.status_code, again.json()) == (200, first)
    reused = await ada.asks("POST", f"{chat}/messages", body | {"text": "two"})
    assert code_of(reused) == (409, "client_id_reused")
    place = f"{chat}/messages/{first['id']}"
    edited = (await ada.asks("PATCH", place, {"text": "three"})).json()
    for text in ("one", "two"):
        again = await ada.asks("POST", f"{chat}/messages", body | {"text": text})
        assert (again.status_code, again.json()) == (200, edited)
    await ada.asks("DELETE", place)
    again = await ada.asks("POST", f"{chat}/messages", body)
    assert (again.status_code, again.json()["id"], again.json()["text"]) == (200, first["id"], None)
    assert (await ada.gets(chat))["last_seq"] == 1


async def test_twins_at_once_are_one_message(house: House) -> None:
    ada, bob = await house.people(2)
    chat = await ada.opens(bob)
    twins = (ada.asks("POST", f"{chat}/messages", {"text": "x", "client_id": "c"}) for _ in range(6))
    answers = await asyncio.gather(*twins)
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [201]
    assert len({answer.content for answer in answers}) == 1


async def test_only_its_author_edits_a_message(house: House) -> None:
    ada, bob, eve = await house.people(3)
    chat = await ada.opens(bob)
    message = await bob.says(chat, "one")
    place = f"{chat}/messages/{message['id']}"
    assert code_of(await ada.asks("PATCH", place, {"text": "x"})) == (403, "not_your_message")
    assert code_of(await eve.asks("PATCH", place, {"text": "x"})) == (404, "not_found")
    edited = (await bob.asks("PATCH", place, {"text": "two"})).json()
    assert edited == message | {"text": "two", "rev": 2, "edited_at": edited["edited_at"]}
    assert edited["edited_at"] is not None
    assert (await bob.asks("PATCH", place, {"text": "two"})).json() == edited
    await bob.asks("DELETE", place)
    assert code_of(await bob.asks("PATCH", place, {"text": "x"})) == (409, "message_deleted")


async def test_a_message_is_deleted_by_its_author_the_owner_or_a_moderator(house: House) -> None:
    ada, bob, eve = await house.people(3)
    boss = await house.person("Boss", "admin")
    chat = await ada.opens(bob, eve)
    for deletes in (bob, ada, boss):
        message = await bob.says(chat, "secret")
        place = f"{chat}/messages/{message['id']}"
        await eve.asks("PUT", f"{place}/reactions/x")
        assert code_of(await eve.asks("DELETE", place)) == (403, "not_your_message")
        for _ in range(2):
            assert (await deletes.asks("DELETE", place)).status_code == 204
        left = await bob.gets(place)
        expected = message | {"text": None, "rev": left["rev"], "deleted_at": left["deleted_at"]}
        assert left == expected
    assert (await bob.gets(chat))["last_rev"] == 9
    stored = """select count(*) from messages
                 where chat_id = $1::text::uuid and (text is not null or found_by is not null)"""
    assert await house.sql.value(stored, chat[1:]) == 0
    assert code_of(await boss.asks("GET", chat)) == (404, "not_found")
    stranger = await house.person()
    assert code_of(await stranger.asks("DELETE", place)) == (404, "not_found")
    assert code_of(await boss.asks("DELETE", f"{chat}/messages/{uuid4()}")) == (404, "not_found")


# Reading


async def test_history_is_read_before_after_and_around_a_place(house: House) -> None:
    ada, bob = await house.people(2)
    chat = await ada.opens(bob)
    for n in range(30):
        await ada.says(chat, str(n))
    expected: list[tuple[dict[str, int], range, bool]] = [
        ({}, range(21, 31), True),
        ({"before": 21}, range(11, 21), True),
        ({"before": 11}, range(1, 11), False),
        ({"before": 5}, range(1, 5), False),
        ({"before": 0}, range(0), False),
        ({"after": 0}, range(1, 11), True),
        ({"after": 20}, range(21, 31), False),
        ({"after": 25}, range(26, 31), False),
        ({"after": 2**63 - 1}, range(0), False),
        ({"around": 15}, range(10, 20), True),
        ({"around": 15, "limit": 11}, range(10, 21), True),
        ({"around": 15, "limit": 1}, range(15, 16), True),
        ({"around": 30}, range(21, 31), True),
        ({"around": 2}, range(1, 7), False),
        ({"around": 99}, range(21, 31), True),
    ]
    for params, seqs, more in expected:
        page = await bob.gets(f"{chat}/messages", **{"limit": 10} | params)
        assert [message["seq"] for message in page["items"]] == list(seqs), params
        assert (page["next_cursor"] is not None) is more, params


@pytest.mark.parametrize(("first", "order"), [({}, -1), ({"after": 0}, 1)], ids=["newest", "oldest"])
async def test_a_cursor_leads_on_in_the_same_direction(
    house: House, first: dict[str, Any], order: int
) -> None:
    ada, bob = await house.people(2)
    chat = await ada.opens(bob)
    for n in range(7):
        await ada.says(chat, str(n))
    seen: list[int] = []
    params = first
    while params != {"cursor": None}:
        page = await bob.gets(f"{chat}/messages", limit=3, **params)
        seen += [message["seq"] for message in page["items"]][::order]
        params = {"cursor": page["next_cursor"]}
    assert seen == list(range(1, 8))[::order]


async def test_one_place_at_a_time_is_asked_for(house: House) -> None:
    ada = await house.person()
    chat = await ada.opens()
    for n in range(3):
        await ada.says(chat, str(n))
    cursor = (await ada.gets(f"{chat}/messages", limit=1))["next_cursor"]
    for params, wrong in (
        ({"before": 5, "after": 3}, "after"),
        ({"around": 1, "before": 2}, "around"),
        ({"cursor": cursor, "after": 1}, "cursor"),
    ):
        answer = await ada.asks("GET", f"{chat}/messages", params=params)
        assert flaws_of(answer) == [(f"query:{wrong}", "contradictory_window")]
    for name in ("before", "after", "around"):
        for value in ("-1", "x", str(2**63)):
            answer = await ada.asks("GET", f"{chat}/messages", params={name: value})
            assert [pointer for pointer, _ in flaws_of(answer)] == [f"query:{name}"]


async def test_a_cursor_of_one_chat_leads_nowhere_in_another(house: House) -> None:
    ada, bob = await house.people(2)
    one, other = await ada.opens(bob), await ada.opens(bob)
    for chat in (one, one, other, other):
        await ada.says(chat)
    paths: dict[str, dict[str, Any]] = {
        "messages": {"limit": 1},
        "search": {"limit": 1, "q": "hi"},
        "members": {"limit": 1},
    }
    for path, params in paths.items():
        cursor = (await ada.gets(f"{one}/{path}", **params))["next_cursor"]
        assert len((await ada.gets(f"{one}/{path}", **params, cursor=cursor))["items"]) == 1
        answer = await ada.asks("GET", f"{other}/{path}", params=params | {"cursor": cursor})
        assert flaws_of(answer) == [("query:cursor", "invalid_cursor")]


async def test_changes_are_caught_up_with_from_any_rev(house: House) -> None:
    """Each changed message once, under its newest rev; what members did has a rev too, and no message."""
    ada, bob, eve = await house.people(3)
    chat = await ada.opens(bob)
    one, two, _ = [await ada.says(chat, text) for text in ("1", "2", "3")]
    await ada.asks("PATCH", f"{chat}/messages/{two['id']}", {"text": "two"})
    await ada.asks("POST", f"{chat}/members", {"user_id": str(eve.id)})
    await bob.asks("PUT", f"{chat}/messages/{one['id']}/reactions/x")
    await ada.asks("DELETE", f"{chat}/messages/{two['id']}")
    everything = await bob.gets(f"{chat}/changes")
    assert [(m["rev"], m["seq"]) for m in everything["items"]] == [(3, 3), (6, 1), (7, 2)]
    assert (everything["next_rev"], everything["last_rev"]) == (None, 7)
    assert everything["items"][2]["deleted_at"] is not None
    for since in range(8):
        page = await bob.gets(f"{chat}/changes", since_rev=since)
        assert page["items"] == [m for m in everything["items"] if m["rev"] > since]
    page = await bob.gets(f"{chat}/changes", limit=2)
    assert ([m["rev"] for m in page["items"]], page["next_rev"], page["last_rev"]) == ([3, 6], 6, 7)
    page = await bob.gets(f"{chat}/changes", limit=2, since_rev=page["next_rev"])
    assert ([m["rev"] for m in page["items"]], page["next_rev"]) == ([7], None)
    answer = await bob.asks("GET", f"{chat}/changes", params={"since_rev": -1})
    assert flaws_of(answer) == [("query:since_rev", "out_of_range")]
    assert await bob.gets(f"{chat}/changes", since_rev=99) == {"items": [], "next_rev": None, "last_rev": 7}


async def test_unread_counts_what_came_since_one_has_read(house: House) -> None:
    ada, bob = await house.people(2)
    chat = await ada.opens(bob)
    messages = [await ada.says(chat, str(n)) for n in range(4)]
    counts = []

    async def unread(seq: int | None = None) -> None:
        if seq is not None:
            assert (await bob.asks("POST", f"{chat}/read", {"seq": seq})).status_code == 204
        counts.append((await bob.gets(chat))["unread_count"])

    await unread()
    await unread(3)
    await unread(1)
    await ada.asks("DELETE", f"{chat}/messages/{messages[3]['id']}")
    await unread()
    await unread(2**63 - 1)
    await ada.says(chat)
    await unread()
    await bob.says(chat)
    await unread()
    assert counts == [4, 1, 1, 1, 0, 1, 0]
    assert (await ada.gets(chat))["unread_count"] == 1
    for seq in (-1, "1", None, 2**63):
        answer = await bob.asks("POST", f"{chat}/read", {"seq": seq})
        assert [pointer for pointer, _ in flaws_of(answer)] == ["/seq"]


# Reactions


async def test_reactions_are_counted_once_each(house: House) -> None:
    ada, bob = await house.people(2)
    chat = await ada.opens(bob)
    message = await ada.says(chat)
    place = f"{chat}/messages/{message['id']}"

    async def put(person: Person, emoji: str) -> None:
        assert (await person.asks("PUT", f"{place}/reactions/{emoji}")).status_code == 204

    async def counted() -> tuple[dict[str, int], int]:
        shown = await ada.gets(place)
        return shown["reactions"], shown["rev"]

    for _ in range(2):
        await put(ada, "👍")
    await put(bob, "👍")
    await put(bob, "e%CC%81")
    await put(bob, "\u00e9")
    assert await counted() == ({"👍": 2, "\u00e9": 1}, 4)
    for emoji in ("%2F", "a%2Fb"):
        await put(bob, emoji)
    assert (await counted())[0] == {"👍": 2, "\u00e9": 1, "/": 1, "a/b": 1}
    for emoji in ("%2F", "a%2Fb"):
        assert (await bob.asks("DELETE", f"{place}/reactions/{emoji}")).status_code == 204
    for _ in range(2):
        assert (await bob.asks("DELETE", f"{place}/reactions/👍")).status_code == 204
    assert await counted() == ({"👍": 1, "\u00e9": 1}, 9)
    await bob.asks("DELETE", f"{place}/reactions/\u00e9")
    await ada.asks("DELETE", f"{place}/reactions/👍")
    assert await counted() == ({}, 11)


async def test_an_emoji_is_short_and_plain_and_a_message_takes_32(house: House) -> None:
    ada, eve = await house.people(2)
    chat = await ada.opens()
    place = f"{chat}/messages/{(await ada.says(chat))['id']}"
    for wrong, code in (
        ("x" * 33, "too_many_bytes"),
        ("👍" * 9, "too_many_bytes"),
        ("a%0Ab", "control_character"),
        ("%20", "blank"),
        ("%ff", "invalid_encoding"),
        ("%ed%a0%80", "invalid_encoding"),
    ):
        for method in ("PUT", "DELETE"):
            answer = await ada.asks(method, f"{place}/reactions/{wrong}")
            assert flaws_of(answer) == [("path:emoji", code)]
    for n in range(32):
        assert (await ada.asks("PUT", f"{place}/reactions/{n}")).status_code == 204
    assert code_of(await ada.asks("PUT", f"{place}/reactions/33")) == (409, "too_many_reactions")
    assert (await ada.asks("PUT", f"{place}/reactions/0")).status_code == 204
    assert code_of(await eve.asks("PUT", f"{place}/reactions/0")) == (404, "not_found")
    await ada.asks("DELETE", place)
    assert code_of(await ada.asks("PUT", f"{place}/reactions/0")) == (409, "message_deleted")
    assert (await ada.asks("DELETE", f"{place}/reactions/0")).status_code == 204


# Everybody else


async def test_every_route_hides_a_chat_from_strangers_and_asks_who_calls(house: House) -> None:
    ada, eve = await house.people(2)
    chat = await ada.opens()
    message = f"{chat}/messages/{(await ada.says(chat))['id']}"
    routes = [
        ("GET", chat, None),
        ("PATCH", chat, {"title": "x"}),
        ("DELETE", chat, None),
        ("GET", f"{chat}/members", None),
        ("POST", f"{chat}/members", {"user_id": str(eve.id)}),
        ("DELETE", f"{chat}/members/{ada.id}", None),
        ("GET", f"{chat}/messages", None),
        ("POST", f"{chat}/messages", {"text": "x"}),
        ("GET", message, None),
        ("PATCH", message, {"text": "x"}),
        ("DELETE", message, None),
        ("PUT", f"{message}/reactions/x", None),
        ("DELETE", f"{message}/reactions/x", None),
        ("POST", f"{chat}/read", {"seq": 1}),
        ("GET", f"{chat}/changes", None),
        ("GET", f"{chat}/search?q=hi", None),
    ]
    for asked in routes:
        assert code_of(await eve.asks(*asked)) == (404, "not_found"), asked
    eve.client.headers.clear()
    for asked in (*routes, ("GET", "", None), ("POST", "", {})):
        assert code_of(await eve.asks(*asked)) == (401, "unauthenticated"), asked
