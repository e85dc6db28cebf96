"""Parties from outside: two API processes, people who meet at both of them at once."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from httpx import Response

from parlor.core.shared.ids import uuid7
from tests.faults.score import rounds
from tests.fleet import Fleet, a_fleet
from tests.people import Person, people
from tests.servers.session import shared_url

pytestmark = pytest.mark.asyncio(loop_scope="module")

JSON = {"content-type": "application/json"}
CROWD, SEATS = 200, 8
STORM = 240
INVARIANTS = {
    "members are counted": """
        select p.id from parties p
         where member_count <> (select count(*) from party_members m where m.party_id = p.id)
            or member_count not between 1 and capacity""",
    "each party has one owner, who is a member": """
        select p.id from parties p
         where array[owner_id] <> (select array_agg(user_id) from party_members m
                                    where m.party_id = p.id and m.role = 'owner')""",
    "nobody who is banned is a member or a guest": """
        select b.party_id from party_bans b
         where exists (select from party_members m where (m.party_id, m.user_id) = (b.party_id, b.user_id))
            or exists (select from party_invitations i
                        where (i.party_id, i.guest_id, i.status) = (b.party_id, b.user_id, 'pending'))""",
    "no member is a guest": """
        select m.party_id from party_members m join party_invitations i
            on (i.party_id, i.guest_id, i.status) = (m.party_id, m.user_id, 'pending')""",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet(tmp_path_factory: pytest.TempPathFactory, template: str) -> AsyncIterator[Fleet]:
    """Two API processes on one database."""
    folder: Path = tmp_path_factory.mktemp("parties")
    servers = (shared_url("postgres"), shared_url("redis"), shared_url("rabbitmq"))
    async with a_fleet(*servers, folder, template=template) as fleet:
        await asyncio.gather(fleet.serve(), fleet.serve())
        yield fleet


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def crowd(fleet: Fleet) -> AsyncIterator[list[Person]]:
    async with people(fleet, CROWD) as crowd:
        yield crowd


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def admin(fleet: Fleet) -> AsyncIterator[Person]:
    async with people(fleet, 1, roles=frozenset({"admin"})) as (admin,):
        yield admin


async def found(owner: Person, **fields: Any) -> str:
    """Answer the new party's path."""
    made = await owner.ask("POST", "/parties", json={"name": "Dragons", "capacity": SEATS} | fields)
    assert made.status_code == 201, made.text
    return made.headers["location"].removeprefix("/api/v1")


async def invited(host: Person, place: str, guest: Person) -> str:
    """Answer the invitation's path."""
    sent = await host.ask("POST", f"{place}/invitations", json={"user_id": str(guest.id)})
    assert sent.status_code == 201, sent.text
    return f"/invitations/{sent.json()['id']}"


async def said(answer: Awaitable[Response]) -> tuple[int, str | None]:
    """Tell status and code."""
    got = await answer
    return got.status_code, got.json()["code"] if got.status_code >= 400 else None


async def must_hold(fleet: Fleet) -> None:
    async with fleet.database() as database:
        broken = {name: await database.fetch(sql) for name, sql in INVARIANTS.items()}
    assert {name: rows for name, rows in broken.items() if rows} == {}


async def test_eight_seats_take_seven_of_two_hundred_who_come_at_once(
    fleet: Fleet, crowd: list[Person]
) -> None:
    """The founder has the first one. On every try, at two processes."""
    for _ in range(rounds(10)):
        place = await found(crowd[0])
        answers = await asyncio.gather(*(said(one.ask("POST", f"{place}/join")) for one in crowd[1:]))
        assert Counter(answers) == {(200, None): SEATS - 1, (409, "party_full"): CROWD - SEATS}
        party = (await crowd[1].ask("GET", place)).json()
        assert (party["member_count"], party["version"]) == (SEATS, 1)
    await must_hold(fleet)


async def test_whoever_joins_many_times_at_once_has_one_seat(crowd: list[Person]) -> None:
    place = await found(crowd[0])
    answers = await asyncio.gather(*(crowd[1].ask("POST", f"{place}/join") for _ in range(10)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    listed = (await crowd[2].ask("GET", f"{place}/members")).json()["items"]
    assert [one["user_id"] for one in listed] == [str(crowd[0].id), str(crowd[1].id)]


async def test_a_body_that_is_not_needed_is_read_all_the_same(crowd: list[Person]) -> None:
    place = await found(crowd[0])
    join = f"{place}/join"
    for given, expected in (
        ({"content": b"{", "headers": JSON}, (400, "invalid_json")),
        ({"content": b"x", "headers": {"content-type": "text/plain"}}, (415, "unsupported_media_type")),
        ({"json": {"user_id": "x"}}, (422, "invalid_request")),
        ({"json": {"role": "owner"}}, (422, "invalid_request")),
        ({"json": []}, (422, "invalid_request")),
        ({"content": b"null", "headers": JSON}, (200, None)),
        ({"json": {}}, (200, None)),
        ({}, (200, None)),
    ):
        assert await said(crowd[1].ask("POST", join, **given)) == expected, given


async def test_a_party_is_founded_once_under_one_key(crowd: list[Person]) -> None:
    body = {"name": "  Red \u2003 Dragons ", "description": "a\nb", "visibility": "private", "capacity": 3}
    tries = [crowd[place].ask("POST", "/parties", json=body, key="one") for place in (0, 0, 0)]
    answers = await asyncio.gather(*tries)
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    replayed = [answer.headers.get("Idempotent-Replayed") for answer in answers]
    assert Counter(replayed) == {None: 1, "true": 2}
    party = answers[0].json()
    assert (party["name"], party["owner_id"]) == ("Red Dragons", str(crowd[0].id))
    assert (party["member_count"], party["version"]) == (1, 1)
    other = await crowd[0].ask("POST", "/parties", json=body | {"capacity": 4}, key="one")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    place = f"/parties/{party['id']}"
    assert (await crowd[0].ask("DELETE", place)).status_code == 204
    assert (await crowd[0].ask("POST", "/parties", json=body, key="one")).status_code == 404


async def test_what_one_may_not_see_looks_like_what_is_not_there(crowd: list[Person]) -> None:
    ada, bob, *_ = crowd
    place, nowhere = await found(ada, visibility="private"), f"/parties/{uuid7()}"
    member = f"/members/{ada.id}"
    for method, path, body in (
        ("GET", "", None),
        ("PATCH", "", {"name": "Wizards"}),
        ("DELETE", "", None),
        ("GET", "/members", None),
        ("PATCH", member, {"role": "member"}),
        ("DELETE", member, None),
        ("POST", "/join", None),
        ("POST", "/leave", None),
        ("POST", "/owner", {"user_id": str(bob.id)}),
        ("POST", "/invitations", {"user_id": str(bob.id)}),
        ("PUT", f"/bans/{ada.id}", None),
        ("DELETE", f"/bans/{ada.id}", None),
    ):
        answers = [await bob.ask(method, where + path, json=body) for where in (place, nowhere)]
        assert [one.status_code for one in answers] == [404, 404], (method, path)
        bytes_ = {one.content.replace(one.headers["x-request-id"].encode(), b"") for one in answers}
        assert len(bytes_) == 1, (method, path)


async def test_a_party_is_changed_by_its_leaders_as_they_have_read_it(crowd: list[Person]) -> None:
    ada, bob, cleo, *_ = crowd
    place = await found(ada)
    for one in (bob, cleo):
        await one.ask("POST", f"{place}/join")
    promoted = await ada.ask("PATCH", f"{place}/members/{bob.id}", json={"role": "officer"})
    assert (promoted.status_code, promoted.json()["role"]) == (200, "officer")
    read = await bob.ask("GET", place)
    assert read.headers["etag"] == '"1"'
    changed = await bob.ask("PATCH", place, json={"name": "Wizards"}, tag=read.headers["etag"])
    assert (changed.status_code, changed.headers["etag"], changed.json()["name"]) == (200, '"2"', "Wizards")
    assert (await cleo.ask("GET", place)).json() == changed.json()
    for person, body, tag, expected in (
        (bob, {"name": "Knights"}, '"1"', (412, "version_mismatch")),
        (bob, {"name": "Knights"}, 'W/"2"', (412, "version_mismatch")),
        (bob, {"name": "Knights"}, "2", (422, "invalid_if_match")),
        (cleo, {"name": "Knights"}, '"1"', (403, "party_role_needed")),
        (ada, {"capacity": 2}, "*", (409, "capacity_below_members")),
        (ada, {"name": " a b "}, None, (200, None)),
        (ada, {"name": "ab"}, None, (422, "invalid_request")),
        (ada, {"owner_id": str(bob.id)}, None, (422, "invalid_request")),
        (ada, {"capacity": 10_001}, None, (422, "invalid_request")),
        (ada, {"description": "a\x00"}, None, (422, "invalid_request")),
    ):
        assert await said(person.ask("PATCH", place, json=body, tag=tag)) == expected, body
    assert await said(bob.ask("DELETE", place)) == (403, "party_role_needed")
    assert await said(ada.ask("DELETE", place, tag='"2"')) == (412, "version_mismatch")
    assert await said(ada.ask("DELETE", place, tag='"3"')) == (204, None)
    assert await said(ada.ask("GET", place)) == (404, "not_found")


async def test_a_guest_looks_joins_and_leaves(crowd: list[Person]) -> None:
    ada, bob, cleo, *_ = crowd
    place = await found(ada, visibility="private")
    offer = await invited(ada, place, bob)
    again = await ada.ask("POST", f"{place}/invitations", json={"user_id": str(bob.id)})
    assert (again.status_code, f"/invitations/{again.json()['id']}") == (200, offer)
    assert (await bob.ask("GET", place)).status_code == 200
    assert (
        again.json() in (await bob.ask("GET", "/invitations", params={"status": "pending"})).json()["items"]
    )
    assert await said(cleo.ask("POST", f"{offer}/accept")) == (404, "not_found")
    assert await said(ada.ask("POST", f"{offer}/accept")) == (403, "not_your_invitation")
    seat = await bob.ask("POST", f"{offer}/accept")
    assert (seat.status_code, seat.json()["user_id"], seat.json()["role"]) == (200, str(bob.id), "member")
    assert await said(bob.ask("POST", f"{offer}/accept")) == (409, "invitation_ended")
    assert await said(ada.ask("POST", f"{place}/invitations", json={"user_id": str(uuid7())})) == (
        422,
        "unknown_user",
    )
    declined = await invited(ada, place, cleo)
    assert await said(cleo.ask("POST", f"{declined}/decline")) == (204, None)
    revoked = await invited(ada, place, cleo)
    assert [await said(ada.ask("DELETE", revoked)) for _ in range(2)] == [(204, None)] * 2
    assert await said(cleo.ask("POST", f"{place}/join")) == (404, "not_found")
    await invited(ada, place, cleo)
    assert await said(cleo.ask("POST", f"{place}/join")) == (200, None)
    assert await said(ada.ask("POST", f"{place}/leave")) == (204, None)
    assert (await bob.ask("GET", place)).json()["owner_id"] == str(bob.id)
    for one in (bob, cleo):
        assert await said(one.ask("POST", f"{place}/leave")) == (204, None)
    assert await said(cleo.ask("GET", place)) == (404, "not_found")


async def test_a_ban_keeps_out_until_it_is_lifted(crowd: list[Person]) -> None:
    ada, bob, cleo, *_ = crowd
    place = await found(ada)
    await bob.ask("POST", f"{place}/join")
    assert await said(cleo.ask("POST", f"{place}/leave")) == (409, "not_a_member")
    assert await said(ada.ask("PUT", f"{place}/bans/{ada.id}")) == (409, "party_owner")
    assert await said(bob.ask("PUT", f"{place}/bans/{cleo.id}")) == (403, "party_role_needed")
    assert [await said(ada.ask("PUT", f"{place}/bans/{bob.id}")) for _ in range(2)] == [(204, None)] * 2
    assert await said(bob.ask("POST", f"{place}/join")) == (403, "banned")
    assert await said(ada.ask("POST", f"{place}/invitations", json={"user_id": str(bob.id)})) == (
        403,
        "banned",
    )
    assert await said(ada.ask("DELETE", f"{place}/bans/{bob.id}")) == (204, None)
    assert await said(bob.ask("POST", f"{place}/join", json={"user_id": str(bob.id)})) == (200, None)
    assert await said(ada.ask("POST", f"{place}/owner", json={"user_id": str(bob.id)})) == (200, None)
    assert await said(ada.ask("POST", f"{place}/owner", json={"user_id": str(bob.id)})) == (
        403,
        "party_role_needed",
    )


async def test_people_act_for_themselves_and_administrators_for_anybody(
    crowd: list[Person], admin: Person
) -> None:
    ada, bob, *_ = crowd
    body = {"name": "Dragons", "visibility": "private"}
    assert await said(ada.ask("POST", "/parties", json=body | {"owner_id": str(bob.id)})) == (
        403,
        "permission_missing",
    )
    made = await admin.ask("POST", "/parties", json=body | {"owner_id": str(bob.id)})
    place = f"/parties/{made.json()['id']}"
    assert (await bob.ask("GET", place)).json()["owner_id"] == str(bob.id)
    assert await said(admin.ask("POST", f"{place}/join", json={"user_id": str(ada.id)})) == (200, None)
    assert await said(ada.ask("POST", f"{place}/leave", json={"user_id": str(bob.id)})) == (
        403,
        "permission_missing",
    )
    assert await said(admin.ask("DELETE", place)) == (204, None)


async def test_lists_go_on_where_the_cursor_says(crowd: list[Person]) -> None:
    ada, bob, *_ = crowd
    for number in range(3):
        await found(ada, name=f"Unicorns {number}")
    listed: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = (await bob.ask("GET", "/parties", params={"q": "unicrons", "limit": "2"} | cursor)).json()
        listed += [one["name"] for one in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert sorted(listed) == [f"Unicorns {number}" for number in range(3)]
    for query in ({"cursor": "x"}, {"sort": "new"} | cursor, {"limit": "0"}, {"sort": "x"}, {"q": "a\x00b"}):
        assert (await bob.ask("GET", "/parties", params=query)).status_code == 422, query


async def test_a_cursor_of_one_partys_members_leads_nowhere_in_another(crowd: list[Person]) -> None:
    ada, bob, *_ = crowd
    one, other = await found(ada), await found(ada)
    for place in (one, other):
        assert await said(bob.ask("POST", f"{place}/join")) == (200, None)
    page = (await ada.ask("GET", f"{one}/members", params={"limit": "1"})).json()
    query = {"limit": "1", "cursor": page["next_cursor"]}
    rest = (await ada.ask("GET", f"{one}/members", params=query)).json()["items"]
    assert [member["user_id"] for member in rest] == [str(bob.id)]
    foreign = await ada.ask("GET", f"{other}/members", params=query)
    assert (foreign.status_code, foreign.json()["errors"][0]["code"]) == (422, "invalid_cursor")


async def test_a_storm_of_everything_at_once_breaks_no_rule(fleet: Fleet, crowd: list[Person]) -> None:
    """Joins, leaves, kicks, bans, answers and hand-overs in every order: no 5xx, and the books are right."""
    chance = random.Random(7)
    for _ in range(rounds(10)):
        guests = chance.sample(crowd, 12)
        places = [await found(owner, capacity=5) for owner in guests[:2]]
        offers = [await invited(guests[0], places[0], one) for one in guests[6:]]
        answers = await asyncio.gather(
            *(said(_anything(chance, guests, places, offers)) for _ in range(STORM))
        )
        seen = Counter(answers)
        assert max(status for status, _ in seen) < 500, seen
        assert seen[200, None], seen
    await must_hold(fleet)


def _anything(
    chance: random.Random, guests: list[Person], places: list[str], offers: list[str]
) -> Awaitable[Response]:
    one, other, place = chance.choice(guests), chance.choice(guests), chance.choice(places)
    offer, whom = chance.choice(offers), {"user_id": str(other.id)}
    room = {"capacity": chance.randrange(3, 7), "name": f"Storm {chance.randrange(9)}"}
    asked: list[tuple[Person, str, str, object]] = [
        *[(one, "POST", f"{place}/join", None)] * 3,
        (one, "POST", f"{place}/leave", None),
        (guests[0], "POST", f"{place}/invitations", whom),
        (one, "POST", f"{offer}/accept", None),
        (one, "POST", f"{offer}/decline", None),
        (one, "PUT", f"{place}/bans/{other.id}", None),
        (one, "DELETE", f"{place}/bans/{other.id}", None),
        (one, "DELETE", f"{place}/members/{other.id}", None),
        (one, "POST", f"{place}/owner", whom),
        (one, "PATCH", place, room),
    ]
    person, method, path, body = chance.choice(asked)
    return person.ask(method, path, json=body)
