"""What only the tables can promise of chats: races, the log of changes, events, what is left of ended ones."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from parlor.adapters.sql import chat_log, chat_views
from parlor.adapters.sql.posting import SqlPosts
from parlor.core.chats.changes import Change, ChangeKind, channel_of, read
from parlor.core.chats.messages import Draft
from parlor.core.chats.reading import ChatLog, Standing
from parlor.core.games.events import CardDrawn
from parlor.core.parties.events import MemberJoined, MemberLeft, OwnerChanged, PartyEnded, PartyFounded
from parlor.core.shared.actor import SYSTEM, PersonRequired
from parlor.core.shared.errors import NotFound
from parlor.core.shared.events import Event
from parlor.core.shared.feed import Feed
from parlor.core.shared.ids import ChatId, MessageId, PartyId, uuid7
from parlor.core.shared.tracing import within_trace
from parlor.core.shared.work import UnitOfWork
from parlor.core.tasks.ports import TaskWork, Upkeep
from tests.builders import an_actor
from tests.chat_house import House, Person, a_house
from tests.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="house")
async def one_house(postgres_url: str, template: str) -> AsyncIterator[House]:
    async with a_house(postgres_url, template) as house:
        yield house


def id_of(chat: str) -> ChatId:
    return ChatId(UUID(chat[1:]))


async def revs_and_seqs(house: House, chat: str) -> tuple[list[int], list[int]]:
    """Every rev that stands at a message or a member, and every seq."""
    rows = await house.sql.rows("select seq, rev from messages where chat_id = $1 order by seq", id_of(chat))
    revs = [row["rev"] for row in rows]
    members = await house.sql.rows("select rev from chat_members where chat_id = $1 and rev > 0", id_of(chat))
    return sorted(revs + [row["rev"] for row in members]), [row["seq"] for row in rows]


# Races


async def test_whatever_happens_at_once_nobody_sees_an_error_of_ours_and_no_place_is_lost(
    house: House,
) -> None:
    """Members post, edit, delete, react, read, leave, are put out and taken in, and the group is renamed."""
    people = await house.people(6)
    ada, others = people[0], people[1:]
    chat = await ada.opens(*others)
    first = [await ada.says(chat, str(n)) for n in range(4)]
    chance = random.Random(7)
    statuses: Counter[int] = Counter()

    async def does(person: Person) -> None:
        place = f"{chat}/messages/{chance.choice(first)['id']}"
        other = chance.choice(others)
        method, path, body = chance.choice(
            [
                *[("POST", f"{chat}/messages", {"text": "hi"})] * 3,
                ("POST", f"{chat}/messages", {"text": "hi", "client_id": chance.choice("ab")}),
                ("PATCH", place, {"text": str(chance.random())}),
                ("DELETE", f"{chat}/messages/{first[0]['id']}", None),
                ("PUT", f"{place}/reactions/{chance.choice('xyz')}", None),
                ("DELETE", f"{place}/reactions/{chance.choice('xyz')}", None),
                ("POST", f"{chat}/read", {"seq": chance.randrange(99)}),
                ("DELETE", f"{chat}/members/{other.id}", None),
                ("POST", f"{chat}/members", {"user_id": str(other.id)}),
                ("PATCH", chat, {"title": str(chance.random())}),
            ]
        )
        statuses[(await person.asks(method, path, body)).status_code] += 1

    with capture_logs() as lines:
        for _ in range(6):
            await asyncio.gather(*(does(chance.choice([ada, *people])) for _ in range(40)))
    assert any(line["event"] == "use_case" for line in lines)
    assert [line for line in lines if line.get("why") == "DeadlockDetectedError"] == []
    assert set(statuses) <= {200, 201, 204, 403, 404, 409}, statuses
    assert statuses[201] > 20
    revs, seqs = await revs_and_seqs(house, chat)
    head = await ada.gets(chat)
    assert seqs == list(range(1, head["last_seq"] + 1))
    assert len(set(revs)) == len(revs)
    assert revs[-1] <= head["last_rev"]
    counted = await house.sql.value(
        "select count(*) from chat_members where chat_id = $1 and left_at is null", id_of(chat)
    )
    assert counted == head["member_count"]


async def test_nothing_is_posted_after_its_author_has_left(house: House) -> None:
    """Whoever is put out while posting has either posted before, with a lower rev, or is refused."""
    ada, bob = await house.people(2)
    for _ in range(8):
        chat = await ada.opens(bob)
        posts = [bob.asks("POST", f"{chat}/messages", {"text": "hi"}) for _ in range(4)]
        put_out = ada.asks("DELETE", f"{chat}/members/{bob.id}")
        answers = await asyncio.gather(*posts[:2], put_out, *posts[2:])
        assert {answer.status_code for answer in answers} <= {201, 204, 404}
        left = await house.sql.value(
            "select rev from chat_members where chat_id = $1 and user_id = $2", id_of(chat), bob.id
        )
        revs, seqs = await revs_and_seqs(house, chat)
        assert revs == list(range(1, len(revs) + 1))
        assert left == len(seqs) + 1


async def test_who_renames_waits_for_nobody_who_posts(house: House) -> None:
    """A post holds the chat's counter; the title is another row's."""
    ada = await house.person()
    chat = await ada.opens()
    posting, go = asyncio.Event(), asyncio.Event()

    async def post_slowly() -> None:
        async with house.container.get(UnitOfWork[TaskWork])() as work:
            await work.messages.post(Draft(MessageId(uuid7()), id_of(chat), None, "slow"))  # type: ignore[attr-defined]  # every context's work is the same one
            posting.set()
            await go.wait()

    slow = asyncio.create_task(post_slowly())
    await posting.wait()
    assert (await ada.asks("PATCH", chat, {"title": "Meanwhile"})).status_code == 200
    go.set()
    await slow


# The log


async def test_the_log_tells_what_changed_since_any_rev(house: House) -> None:
    ada, bob, eve = await house.people(3)
    chat = await ada.opens(bob)
    one, two = await ada.says(chat, "one"), await ada.says(chat, "two")
    await ada.asks("POST", f"{chat}/members", {"user_id": str(eve.id)})
    await ada.asks("DELETE", f"{chat}/members/{bob.id}")
    await ada.asks("PATCH", f"{chat}/messages/{one['id']}", {"text": "other"})
    await ada.asks("DELETE", f"{chat}/messages/{two['id']}")
    await ada.says(chat, "three")
    log = house.container.get(ChatLog)
    told = await log.since(id_of(chat), 0, limit=100)
    assert [(change.kind, change.rev) for change in told] == [
        (ChangeKind.JOINED, 3),
        (ChangeKind.LEFT, 4),
        (ChangeKind.EDITED, 5),
        (ChangeKind.DELETED, 6),
        (ChangeKind.CREATED, 7),
    ]
    assert [change.user_id for change in told[:2]] == [eve.id, bob.id]
    shown = (await ada.gets(f"{chat}/changes"))["items"]
    assert [json.loads(change.message) for change in told[2:]] == shown
    for since in range(8):
        later = [change for change in told if change.rev > since]
        assert await log.since(id_of(chat), since, limit=100) == later
        assert await log.since(id_of(chat), since, limit=2) == later[:2]


async def test_how_far_a_chat_has_come_is_told_to_members_and_in_bulk(house: House) -> None:
    ada, bob = await house.people(2)
    chat, ended = await ada.opens(), await ada.opens()
    await ada.says(chat)
    await ada.asks("PATCH", f"{chat}/messages/{(await ada.says(chat))['id']}", {"text": "x"})
    await ada.asks("DELETE", ended)
    log = house.container.get(ChatLog)
    assert await log.standing(an_actor(user_id=ada.id), id_of(chat)) == Standing(last_rev=3, last_seq=2)
    for viewer, wrong in ((an_actor(user_id=bob.id), NotFound), (SYSTEM, PersonRequired)):
        with pytest.raises(wrong):
            await log.standing(viewer, id_of(chat))
    with pytest.raises(NotFound):
        await log.standing(an_actor(user_id=ada.id), id_of(ended))
    asked = {id_of(chat), id_of(ended), ChatId(uuid7())}
    assert await log.last_revs(asked) == {id_of(chat): 3}


async def test_each_change_is_hinted_once_it_is_committed(house: House) -> None:
    """As the answer has it, without another query, and in the order of the revs."""
    ada, bob = await house.people(2)
    chat = await ada.opens()
    heard: list[Change] = []
    end = house.container.get(Feed).listen(
        channel_of(id_of(chat)), lambda hint: heard.append(read(id_of(chat), hint))
    )
    message = await ada.says(chat, "one")
    place = f"{chat}/messages/{message['id']}"
    await ada.asks("POST", f"{chat}/members", {"user_id": str(bob.id)})
    edited = (await ada.asks("PATCH", place, {"text": "two"})).json()
    await bob.asks("PUT", f"{place}/reactions/x")
    await ada.says(chat, "more")
    await bob.asks("POST", f"{chat}/read", {"seq": 2})
    await ada.asks("DELETE", place)
    await bob.asks("DELETE", f"{chat}/members/{bob.id}")
    await ada.asks("DELETE", chat)
    await eventually(lambda: len(heard) == 9)
    end()
    assert [(change.kind, change.rev) for change in heard] == [
        (ChangeKind.CREATED, 1),
        (ChangeKind.JOINED, 2),
        (ChangeKind.EDITED, 3),
        (ChangeKind.REACTION, 4),
        (ChangeKind.CREATED, 5),
        (ChangeKind.READ, 0),
        (ChangeKind.DELETED, 6),
        (ChangeKind.LEFT, 7),
        (ChangeKind.ENDED, 8),
    ]
    assert (json.loads(heard[0].message), json.loads(heard[2].message)) == (message, edited)
    assert (heard[1].user_id, heard[5].user_id, heard[5].seq) == (bob.id, bob.id, 2)


# Events


async def facts_of(house: House, subject: UUID) -> list[dict[str, Any]]:
    return await house.sql.rows("select * from event_outbox where subject = $1 order by id", subject)


async def test_messages_are_told_to_subscribers_only_where_that_is_asked_for(house: House) -> None:
    """In the statement that stores them, numbered with the chat's other events, and never with the text."""
    ada = await house.person()
    chat = await ada.opens()
    await ada.says(chat)
    publishing = SqlPosts(house.sql.database, house.sql.hints, publish=True)
    drafts = [Draft(MessageId(uuid7()), id_of(chat), ada.id, text, client_id=text) for text in "abb"]
    with within_trace(TRACE):
        posted = [await publishing(draft) for draft in drafts]
    await ada.asks("DELETE", chat)
    facts = await facts_of(house, id_of(chat))
    assert [(fact["name"], fact["sequence"], fact["version"]) for fact in facts] == [
        ("chats.chat_opened", 1, 1),
        ("chats.message_posted", 2, 1),
        ("chats.message_posted", 3, 1),
        ("chats.chat_ended", 4, 1),
    ]
    assert facts[1]["body"] == {
        "chat_id": chat[1:],
        "message_id": str(posted[0].id),
        "seq": 2,
        "author_id": str(ada.id),
    }
    assert facts[1]["traceparent"] == TRACE
    assert {fact["lane"] for fact in facts} == {id_of(chat).int % 16}
    assert house.sql.hints.facts == 2


# A party's chat


async def happened(house: House, *events: Event) -> None:
    async with house.container.get(UnitOfWork[TaskWork])() as work:
        for event in events:
            work.publish(event)


async def test_a_partys_chat_follows_its_party(house: House) -> None:
    ada, bob, eve = await house.people(3)
    party, chat_id, card = PartyId(uuid7()), ChatId(uuid7()), MessageId(uuid7())
    chat = f"/{chat_id}"
    await happened(
        house, PartyFounded(party, ada.id, "Fans", "public", 8, chat_id), MemberJoined(party, bob.id)
    )
    shown = await bob.gets(chat)
    assert (shown["kind"], shown["title"], shown["party_id"]) == ("party", "Fans", str(party))
    assert (shown["member_count"], shown["last_seq"]) == (2, 0)
    await happened(house, CardDrawn(party, ada.id, card, "dare", "Sing."))
    drawn = await bob.gets(f"{chat}/messages/{card}")
    assert (drawn["kind"], drawn["author_id"], drawn["text"]) == ("system", None, "Sing.")
    for asked in (
        ("PATCH", chat, {"title": "x"}),
        ("DELETE", chat, None),
        ("POST", f"{chat}/members", {"user_id": str(eve.id)}),
        ("DELETE", f"{chat}/members/{bob.id}", None),
    ):
        answer = await ada.asks(*asked)
        assert (answer.status_code, answer.json()["code"]) == (409, "party_chat")
    await happened(house, OwnerChanged(party, bob.id))
    assert (await bob.asks("DELETE", f"{chat}/messages/{card}")).status_code == 204
    await happened(house, MemberLeft(party, ada.id, "left"))
    assert (await ada.asks("GET", chat)).status_code == 404
    await happened(house, PartyEnded(party))
    assert (await bob.asks("GET", chat)).status_code == 404


# What is left


async def test_what_is_left_of_ended_chats_is_deleted_and_nothing_else(house: House) -> None:
    ada = await house.person()
    ended, kept = await ada.opens(), await ada.opens()
    for chat in (ended, kept):
        message = await ada.says(chat)
        await ada.asks("PUT", f"{chat}/messages/{message['id']}/reactions/x")
    await ada.asks("DELETE", ended)
    upkeep = house.container.get(Upkeep)
    while await upkeep.forget_ended(timedelta(days=30)):
        pass
    columns = {"chats": "id", "chat_heads": "chat_id", "messages": "chat_id", "reactions": "chat_id"}
    for table, column in columns.items():
        counted = f"select count(*) from {table} where {column} = $1"
        found = [await house.sql.value(counted, id_of(chat)) for chat in (ended, kept)]
        assert found == [0, 1], table


# Plans


async def test_a_page_of_a_chat_is_read_from_an_index_in_its_order(house: House) -> None:

    ada = await house.person()
    chat = await ada.opens()
    await house.sql.execute(
        """insert into messages (chat_id, seq, id, rev, author_id, kind, text, created_at)
           select $1, n, gen_random_uuid(), n, $2, 'user', 'x', now() from generate_series(1, 20000) n""",
        id_of(chat),
        ada.id,
    )
    await house.sql.execute("analyze messages, chat_members")
    statements: list[tuple[str, tuple[object, ...], str]] = [
        *((sql, (ada.id, id_of(chat), 10_000, 50), "pk_messages") for sql in chat_views._HISTORY.values()),
        (chat_views._CHANGES, (ada.id, id_of(chat), 10_000, 50), "uq_messages_rev"),
        (chat_log._SINCE, (id_of(chat), 10_000, 50), "uq_messages_rev"),
    ]
    for sql, arguments, index in statements:
        plan = "\n".join(row["QUERY PLAN"] for row in await house.sql.rows("explain " + sql, *arguments))
        assert f"using {index} on messages" in plan
        assert "Seq Scan on messages" not in plan
