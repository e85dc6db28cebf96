"""Finding parties: what is alike, in which order, page by page, and by which indexes."""

import json
import re
from itertools import product
from typing import Any

import pytest

from parlor.adapters.sql import party_search, party_views
from parlor.adapters.sql.engine import Database
from parlor.adapters.sql.naming import grams_of, key_of
from parlor.adapters.sql.party_search import LIKENESS, prepare, written
from parlor.adapters.sql.party_views import PARTY, SqlPartyViews
from parlor.core.parties.access import READ
from parlor.core.parties.model import Party, Visibility
from parlor.core.parties.ports import PartySearch, SearchTooBroad, Sort
from parlor.core.shared.actor import Actor, ActorKind
from parlor.core.shared.ids import UserId, uuid7
from parlor.core.shared.paging import Key, PageRequest
from tests.builders import a_membership, a_party, an_actor, an_owner
from tests.fakes.clock import NOON, FakeClock
from tests.sql import Sql

ADA, BOB = an_actor(), an_actor()
PRIVATE = Visibility.PRIVATE
ROWS = 100_000
WORDS = [
    "red",
    "blue",
    "dragon",
    "wizard",
    "night",
    "club",
    "book",
    "film",
    "chess",
    "silver",
    "river",
    "doom",
]
# What is asked for, and what comes first.
FIRST = {
    "Dragon": "Dragon",
    "dragon": "Dragon",
    "DRAGON  RID": "Dragon Riders",
    "riders": "Dragon Riders",
    "riders dragon": "Dragon Riders",
    "dargon": "Dragon",
    "dragno": "Dragon",
    "dagon": "Dragon",
    "chesss": "Chess on Tuesdays",
    "tuesday": "Chess on Tuesdays",
    "flim": "Film Club",
    "cafe": "Caf\u00e9 Zentral",
    "CAF\u00c9": "Caf\u00e9 Zentral",
    "cafe\u0301": "Caf\u00e9 Zentral",
    "шахматы": "Клуб Шахматы",
    "шахмыты": "Клуб Шахматы",
    "東京": "ボードゲーム東京",
    "ボードゲーム": "ボードゲーム東京",
    "c++": "C++",
    **dict.fromkeys(("zzzqqq", "!!!", "%", "_", "\\", "'", "?", "..."), None),
}


@pytest.fixture
def sql(database: Database) -> Sql:
    return Sql(database)


@pytest.fixture
def shown(database: Database) -> SqlPartyViews:
    return SqlPartyViews(database, FakeClock())


async def founded(sql: Sql, *names: str, **values: Any) -> list[Party]:
    made = [a_party(name=name, **{"owner_id": ADA.user_id} | values) for name in names]
    async with sql.work() as work:
        for party in made:
            await work.parties.add(party, an_owner(party))
    return made


async def names(
    shown: SqlPartyViews, q: str | None = None, *, viewer: Actor = BOB, limit: int = 100, **asked: Any
) -> list[str]:
    """Read all pages."""
    listed: list[str] = []
    key: Key | None = None
    while True:
        page = await shown.search(viewer, PartySearch(q, **asked), PageRequest(limit, key))
        listed += [one["name"] for one in json.loads(page.items)]
        if page.next_key is None:
            return listed
        key = page.next_key


async def test_the_best_match_comes_first(sql: Sql, shown: SqlPartyViews) -> None:
    """Also with letters that changed places, and in scripts that the database's locale knows nothing of."""
    everything = {name for name in FIRST.values() if name}
    await founded(sql, *sorted(everything), "Red Dragon Inn", "Rosen")
    assert {q: next(iter(await names(shown, q)), None) for q in FIRST} == FIRST


async def test_two_letters_that_changed_places_are_put_right_in_longer_names(
    sql: Sql, shown: SqlPartyViews
) -> None:
    meant = ["Dragon", "Dragonfly", "Dragons of Tuesday"]
    await founded(sql, *meant, "Unlike", "Argonauts of Rome")
    for q in ("dargon", "drgaon", "rdagon", "DARGON"):
        listed = await names(shown, q, limit=2)
        assert (sorted(listed[:3]), "Unlike" in listed) == (meant, False)


async def test_exact_then_prefix_then_word_then_likeness(sql: Sql, shown: SqlPartyViews) -> None:
    await founded(sql, "Red Dragons", "The Dragon", "Dragonfly", "Dragon", "Dargon", "Unlike")
    assert await names(shown, "dragon") == ["Dragon", "Dragonfly", "The Dragon", "Red Dragons", "Dargon"]


async def test_short_words_are_beginnings_in_the_order_of_names(sql: Sql, shown: SqlPartyViews) -> None:
    await founded(sql, "Drums", "Dragon", "drab", "Dr", "Mad Dr", "Dance")
    assert await names(shown, "dr", limit=2) == ["Dr", "drab", "Dragon", "Drums"]
    assert await names(shown, "d", limit=2) == ["Dance", "Dr", "drab", "Dragon", "Drums"]
    assert await names(shown, "dr", sort=Sort.NEW, limit=2) == ["Dr", "drab", "Dragon", "Drums"]


async def test_private_parties_are_found_by_their_members_alone(sql: Sql, shown: SqlPartyViews) -> None:
    await founded(sql, "Dragon Hidden", visibility=PRIVATE)
    await founded(sql, "Dragon Open")
    (joined,) = await founded(sql, "Dragon Joined", visibility=PRIVATE, owner_id=UserId(uuid7()))
    async with sql.work() as work:
        await work.memberships.add(a_membership(joined, user_id=ADA.user_id))
    adas_key = Actor(ActorKind.API_KEY, id=uuid7(), user_id=ADA.user_id)
    for q in (None, "dragon", "dr"):
        everything = {"Dragon Hidden", "Dragon Joined", "Dragon Open"}
        assert set(await names(shown, q, viewer=ADA)) == everything
        assert set(await names(shown, q, viewer=an_actor(READ))) == everything
        for viewer in (BOB, adas_key):
            assert await names(shown, q, viewer=viewer) == ["Dragon Open"]
        assert set(await names(shown, q, viewer=ADA, visibility=PRIVATE)) == everything - {"Dragon Open"}
        assert await names(shown, q, viewer=BOB, visibility=PRIVATE) == []
        assert await names(shown, q, viewer=ADA, visibility=Visibility.PUBLIC) == ["Dragon Open"]


async def test_filters_apply_with_words_and_without(sql: Sql, shown: SqlPartyViews) -> None:
    await founded(sql, "Dragon Full", capacity=1)
    await founded(sql, "Dragon Mine", owner_id=BOB.user_id)
    await founded(sql, "Dragon Hidden", owner_id=BOB.user_id, visibility=PRIVATE, capacity=1)
    for q in (None, "dragon", "dr"):
        assert await names(shown, q, has_room=True) == ["Dragon Mine"]
        assert set(await names(shown, q, mine=BOB.user_id)) == {"Dragon Mine", "Dragon Hidden"}
        assert await names(shown, q, mine=BOB.user_id, has_room=True) == ["Dragon Mine"]
        assert await names(shown, q, mine=BOB.user_id, visibility=PRIVATE) == ["Dragon Hidden"]
        assert await names(shown, q, mine=UserId(uuid7())) == []


async def test_every_order_is_kept_from_page_to_page(sql: Sql, shown: SqlPartyViews) -> None:
    """Those that are alike come in the order of their ids: none is left out, none comes twice."""
    by_id: list[Party] = []
    for number, seats in enumerate((3, 1, 3, 2, 1)):
        moment = NOON.replace(minute=number // 2)
        by_id += await founded(sql, f"Dragon {number % 2}", created_at=moment, member_count=seats)
    by_id += await founded(sql, "Dragon 0", visibility=PRIVATE, member_count=2, created_at=NOON)
    expected = {
        Sort.NEW: sorted(by_id, key=lambda one: (one.created_at, one.id), reverse=True),
        Sort.MEMBERS: sorted(by_id, key=lambda one: (one.member_count, one.id), reverse=True),
        Sort.NAME: sorted(by_id, key=lambda one: (one.name, one.id)),
    }
    for q, limit, sort in product((None, "dragon", "dr"), (1, 2, 100), expected):
        listed = await ids(shown, PartySearch(q, sort=sort), limit)
        assert listed == [str(one.id) for one in expected[sort]], (q, limit, sort)


async def ids(shown: SqlPartyViews, search: PartySearch, limit: int) -> list[str]:
    """Read all pages, as Ada."""
    listed: list[str] = []
    key: Key | None = None
    while not listed or key:
        page = await shown.search(ADA, search, PageRequest(limit, key))
        listed += [one["id"] for one in json.loads(page.items)]
        key = page.next_key
    return listed


async def test_the_best_of_many_that_are_alike_are_paged_without_a_hole(
    sql: Sql, shown: SqlPartyViews
) -> None:
    await founded(sql, *(f"Dragon {number % 3}" for number in range(7)))
    assert len(await names(shown, "dragon", limit=2)) == 7
    assert await names(shown, "dargon", limit=3) == await names(shown, "dargon")


async def test_a_thousand_candidates_are_reached_whoever_looks(sql: Sql, shown: SqlPartyViews) -> None:
    """Also where all of them are one's own."""
    await founded(sql, *(f"Dragon {number}" for number in range(120)), owner_id=BOB.user_id)
    await founded(
        sql, *(f"Dragon {number}" for number in range(120)), owner_id=BOB.user_id, visibility=PRIVATE
    )
    assert len(await names(shown, "dragon", mine=BOB.user_id)) == 240
    assert len(await names(shown, "dragon", viewer=an_actor(READ))) == 240
    for viewer in (BOB, an_actor(READ)):
        assert len(await names(shown, "dr", viewer=viewer, sort=Sort.NEW)) == (220 if viewer is BOB else 240)


async def test_a_search_that_takes_too_long_says_so(
    sql: Sql, shown: SqlPartyViews, monkeypatch: pytest.MonkeyPatch
) -> None:
    await founded(sql, "Dragon")
    impatient = prepare(LIKENESS[0]).replace("500", "1")
    monkeypatch.setattr(party_views, "prepare", lambda _: impatient)
    monkeypatch.setattr(party_search, "_score", lambda *_: "(select count(*) from generate_series(1, 1e7))")
    with pytest.raises(SearchTooBroad):
        await names(shown, "dragon")
    monkeypatch.undo()
    assert await names(shown, "dragon") == ["Dragon"]


async def fill(sql: Sql) -> UserId:
    """Make a hundred thousand, of which every few are called alike. Answers who belongs to some of the private ones."""
    member = UserId(uuid7())
    await sql.execute("drop index ix_parties_grams")  # to make it afterwards is ten times faster
    await sql.execute(
        f"""insert into parties
            select gen_random_uuid(), name, name, name, '', case when i % 5 = 0 then 'private' else 'public' end, 8,
                   gen_random_uuid(), 1 + i % 8, gen_random_uuid(), now() - i * interval '1 s', now(), 1
              from (select i, $1::text[] as w from generate_series(1, {ROWS}) i) numbered,
                   lateral (select w[1 + i % 12] || ' ' || w[1 + i / 12 % 12] || ' ' || i as name) named""",
        WORDS,
    )
    await sql.execute("create index ix_parties_grams on parties using gin (name_grams gin_trgm_ops)")
    await sql.execute(
        """insert into party_members
            select id, case when created_at > now() - interval '1 h' then $1 else owner_id end, 'member', now()
              from parties where visibility = 'private'""",
        member,
    )
    for table in ("parties", "party_members"):
        await sql.execute(f"analyze {table}")
    return member


async def test_no_search_reads_the_table_from_end_to_end_or_walks_the_names(
    sql: Sql, database: Database, shown: SqlPartyViews
) -> None:
    """Among a hundred thousand, for a member and for who sees everything, each stands on the index meant for it.

    And among the thousands that are more or less alike, the exact name is not lost.
    """
    member = await fill(sql)
    await founded(sql, "Dragon")
    for viewer in (BOB, an_actor(READ)):
        page = await shown.search(viewer, PartySearch("dragon"), PageRequest(2))
        assert [one["name"].split()[0].lower() for one in json.loads(page.items)] == ["dragon", "dragon"]
        assert json.loads(page.items)[0]["name"] == "Dragon"
    alike = {"ix_parties_grams", "ix_parties_name"}
    meant = [
        (PartySearch("dargon"), alike),
        (PartySearch("silver dargon tuesday"), alike),
        (PartySearch("dragon", has_room=True, sort=Sort.NEW), alike),
        (PartySearch("silver dragon", visibility=Visibility.PUBLIC), alike),
        (PartySearch("dr"), {"ix_parties_name"}),
        (PartySearch(), {"ix_parties_new"}),
        (PartySearch(sort=Sort.MEMBERS), {"ix_parties_members"}),
        (PartySearch(sort=Sort.NAME), {"ix_parties_name"}),
        (PartySearch("dragon", mine=member), set[str]()),
        (PartySearch(mine=member), set[str]()),
    ]
    for (search, indexes), looks, later in product(meant, (member, None), (False, True)):
        plan = await planned(database, search, looks, later=later)
        assert "Seq Scan on parties" not in plan, plan
        assert set(re.findall(r"ix_parties_\w+", plan)) == indexes, plan
        if search.q and indexes:  # names are a range there, never a way through the whole index
            ranges = [line for line in plan.splitlines() if "Index Cond: ((visibility" in line]
            assert ranges, plan
            assert all("name_key >=" in line for line in ranges), plan


async def planned(database: Database, search: PartySearch, viewer: UserId | None, *, later: bool) -> str:
    """Ask how the first or a later page would be found."""
    order = Sort.NAME if search.q == "dr" else search.order
    at = {Sort.NEW: "2026-01-01", Sort.MEMBERS: "4", Sort.NAME: "dragon", Sort.BEST: "300000"}[order]
    page = PageRequest(50, (at, str(uuid7())) if later else None)
    sql, arguments = written(search, page, PARTY, everything=viewer is None, viewer=viewer)
    async with database.session() as session:
        if search.q:
            await session.execute(prepare(LIKENESS[0]))
        return "\n".join(row[0] for row in await session.fetch(f"explain {sql}", *arguments))


def test_keys_are_folded_and_grams_are_ascii() -> None:
    assert key_of("  \uff24RAGON  Straße ") == "dragon strasse"
    assert grams_of("café c++") == "cafe c++"
    assert grams_of("日本 ok") == "0k4l0kdo ok"
    assert grams_of("a…b") == "a...b"
    assert grams_of("a“b") == "a b"
