"""Parties, members and invitations as JSON, for readers."""

from collections.abc import Sequence

import asyncpg
from asyncpg import Record

from parlor.adapters.sql.engine import Database
from parlor.adapters.sql.party_search import LIKENESS, has_words, prepare, written
from parlor.adapters.sql.views import after_key, json_object, moment, page_of, same
from parlor.core.parties.access import sees_any
from parlor.core.parties.model import InvitationStatus
from parlor.core.parties.ports import PartySearch, SearchTooBroad
from parlor.core.shared.actor import Actor, ActorKind
from parlor.core.shared.clock import Clock
from parlor.core.shared.errors import NotFound
from parlor.core.shared.ids import InvitationId, PartyId, UserId
from parlor.core.shared.paging import Page, PageRequest

NOTHING = b"[]"
PARTY = json_object(
    same("id", "name", "description", "visibility", "capacity", "owner_id", "member_count", "chat_id")
    | {name: moment(name) for name in ("created_at", "updated_at")}
    | same("version")
)
MEMBER = json_object(
    {
        "user_id": "m.user_id",
        "display_name": "coalesce(u.display_name, 'deleted user')",
        "role": "m.role",
        "joined_at": moment("m.joined_at"),
    }
)
_MEMBERS = "party_members m left join users u on u.id = m.user_id"
_HAS_SEAT = "exists (select from party_members s where s.party_id = p.id and s.user_id = $2)"
_INVITED = """exists (select from party_invitations i
    where i.party_id = p.id and i.guest_id = $2 and i.status = 'pending' and i.expires_at > $4)"""
_OPEN = f"($3 or p.visibility = 'public' or {_HAS_SEAT})"
_ONE = f"select {PARTY}::text from parties p where id = $1 and ({_OPEN} or {_INVITED})"
_MEMBER = f"select {MEMBER}::text from {_MEMBERS} where m.party_id = $1 and m.user_id = $2"
_MEMBERS_PAGE = f"""
with party as (select id from parties p where id = $1 and {_OPEN}),
page as (
    select {MEMBER}::text as item, m.joined_at as moment, m.user_id as id,
           row_number() over (order by m.joined_at, m.user_id) as n
      from {_MEMBERS}
     where m.party_id = (select id from party)
       and ($5::timestamptz is null or (m.joined_at, m.user_id) > ($5, $6::uuid))
     order by m.joined_at, m.user_id limit $4 + 1)
select exists (select from party) as there,
       '[' || coalesce(string_agg(item, ',' order by n) filter (where n <= $4), '') || ']' as items,
       max(n) > $4 as more, max(moment) filter (where n = $4) as moment,
       (array_agg(id) filter (where n = $4))[1] as id
  from page"""

# `$1` is the present moment.
_STATUS = "case when i.status = 'pending' and i.expires_at <= $1 then 'expired' else i.status end"
INVITATION = json_object(
    {name: f"i.{name}" for name in ("id", "party_id", "inviter_id", "guest_id")}
    | {"status": _STATUS, "expires_at": moment("i.expires_at")}
)
_LED = """exists (select from party_members m
    where m.party_id = i.party_id and m.user_id = $3 and m.role in ('owner', 'officer'))"""
_INVITATION = f"""
select {INVITATION}::text from party_invitations i
 where i.id = $2 and ($4 or $3 in (i.guest_id, i.inviter_id) or {_LED})"""
_INVITATIONS = f"""
with page as (
    select {INVITATION}::text as item, i.created_at as moment, i.id,
           row_number() over (order by i.created_at desc, i.id desc) as n
      from party_invitations i
     where i.guest_id = $2 and ($3::text is null or {_STATUS} = $3)
       and ($5::timestamptz is null or (i.created_at, i.id) < ($5, $6::uuid))
     order by i.created_at desc, i.id desc limit $4 + 1)
select '[' || coalesce(string_agg(item, ',' order by n) filter (where n <= $4), '') || ']' as items,
       max(n) > $4 as more, max(moment) filter (where n = $4) as moment,
       (array_agg(id) filter (where n = $4))[1] as id
  from page"""
_TAKEN = "select exists (select from party_members where party_id = $1 and user_id = $2)"


class SqlPartyViews:
    """Port `PartyViews`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def one(self, viewer: Actor, party_id: PartyId) -> bytes:
        """Read one row as JSON."""
        async with self._database.session() as session:
            view = await session.fetchval(_ONE, party_id, person(viewer), sees_any(viewer), self._clock())
        return text(view)

    async def search(self, viewer: Actor, search: PartySearch, page: PageRequest) -> Page[bytes]:
        """Read a page; words are looked for under limits of their own."""
        asked = written(search, page, PARTY, everything=sees_any(viewer), viewer=person(viewer))
        if not has_words(search):
            async with self._database.session() as session:
                return _found(await session.fetchrow(asked[0], *asked[1]))
        enough, less = LIKENESS
        found = await self._alike(enough, *asked)
        if found.items != NOTHING:
            return found
        try:
            return await self._alike(less, *asked)
        except SearchTooBroad:
            return found

    async def _alike(self, likeness: float, sql: str, arguments: Sequence[object]) -> Page[bytes]:
        async with self._database.session() as session:
            await session.execute(prepare(likeness))
            try:
                return _found(await session.fetchrow(sql, *arguments))
            except asyncpg.QueryCanceledError as error:
                raise SearchTooBroad from error

    async def member(self, party_id: PartyId, user_id: UserId) -> bytes:
        """Read one seat as JSON."""
        async with self._database.session() as session:
            return text(await session.fetchval(_MEMBER, party_id, user_id))

    async def members(self, viewer: Actor, party_id: PartyId, page: PageRequest) -> Page[bytes]:
        """Read a page, the longest-serving first."""
        visible = (party_id, person(viewer), sees_any(viewer))
        async with self._database.session() as session:
            row = await session.fetchrow(_MEMBERS_PAGE, *visible, page.limit, *after_key(page.after))
        return _page_if(row)


class SqlInvitationViews:
    """Port `InvitationViews`."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def one(self, viewer: Actor, invitation_id: InvitationId) -> bytes:
        """Read one row as JSON."""
        asked = (self._clock(), invitation_id, person(viewer), sees_any(viewer))
        async with self._database.session() as session:
            return text(await session.fetchval(_INVITATION, *asked))

    async def page(
        self, guest_id: UserId, page: PageRequest, *, status: InvitationStatus | None
    ) -> Page[bytes]:
        """Read a page, newest first."""
        asked = (self._clock(), guest_id, status, page.limit, *after_key(page.after))
        async with self._database.session() as session:
            return page_of(await session.fetchrow(_INVITATIONS, *asked))


class SqlSeats:
    """Port `Seats`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def taken(self, party_id: PartyId, user_id: UserId) -> bool:
        """Look for the row."""
        async with self._database.session() as session:
            there: bool = await session.fetchval(_TAKEN, party_id, user_id)
        return there


def person(viewer: Actor) -> UserId | None:
    """Answer whose seats and invitations open doors: a key's maker opens none."""
    return viewer.user_id if viewer.kind is ActorKind.USER else None


def text(view: object) -> bytes:
    """Answer the text. Raises NotFound where there was no row."""
    if view is None:
        raise NotFound
    return str(view).encode()


def _found(row: Record | None) -> Page[bytes]:
    assert row is not None, "an aggregate answers one row"
    items: str = row["items"]
    return Page(items.encode(), (row["place"], row["id"]) if row["more"] else None)


def _page_if(row: Record | None) -> Page[bytes]:
    if row is None or not row["there"]:
        raise NotFound
    return page_of(row)
