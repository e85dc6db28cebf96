"""Parties, memberships, invitations and bans in PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from asyncpg import Record
from sqlalchemy import and_, bindparam, delete, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as insert_or_not

from parlor.adapters.sql.driver import PooledConnection
from parlor.adapters.sql.engine import Database
from parlor.adapters.sql.naming import grams_of, key_of
from parlor.adapters.sql.statements import Statement
from parlor.adapters.sql.tables import parties, party_bans, party_invitations, party_members, users
from parlor.core.parties.model import (
    Ban,
    Invitation,
    InvitationStatus,
    Membership,
    Party,
    PartyFull,
    Role,
    Visibility,
)
from parlor.core.parties.ports import Standing
from parlor.core.shared.errors import Contended, NotFound
from parlor.core.shared.ids import InvitationId, PartyId, UserId

SEARCHED = ("name_key", "name_grams")
COLUMNS = tuple(column.name for column in parties.c if column.name not in SEARCHED)
MEMBERSHIP = tuple(column.name for column in party_members.c)
INVITATION = tuple(column.name for column in party_invitations.c)

_THIS = parties.c.id == bindparam("party_id")
_FIND = Statement(select(parties).where(_THIS))
_GET = Statement(select(parties).where(_THIS).with_for_update(key_share=True))
_ADD = Statement(insert(parties))
_SAVE = Statement(
    update(parties)
    .where(_THIS, parties.c.version == bindparam("seen"))
    .values(
        {
            name: bindparam(f"new_{name}")
            for name in (*COLUMNS, *SEARCHED)
            if name not in ("id", "member_count")
        }
    )
)
_REMOVE = Statement(delete(parties).where(_THIS))
_STANDING = """
select (select role from party_members where party_id = $1 and user_id = $2) as role,
       exists (select from party_invitations
                where party_id = $1 and guest_id = $2 and status = 'pending' and expires_at > $3) as invited,
       exists (select from party_bans where party_id = $1 and user_id = $2) as banned"""

_LOOK = f"select p.*, s.* from parties p cross join lateral ({_STANDING}) s where p.id = $1"

_SEAT = and_(
    party_members.c.party_id == bindparam("party_id"), party_members.c.user_id == bindparam("user_id")
)
_ADD_MEMBER = Statement(insert(party_members))
_FIND_MEMBER = Statement(select(party_members).where(_SEAT))
_SAVE_MEMBER = Statement(update(party_members).where(_SEAT).values(role=bindparam("new_role")))
_REMOVE_MEMBER = Statement(delete(party_members).where(_SEAT))
# The count decides, and not who looked at it: without a free seat there is no row to change.
_COUNT_UP = "update parties set member_count = member_count + 1 where id = $1 and member_count < capacity"
_COUNT_DOWN = "update parties set member_count = member_count - 1 where id = $1"
_HEIR = Statement(
    select(party_members)
    .select_from(party_members.outerjoin(users, users.c.id == party_members.c.user_id))
    .where(party_members.c.party_id == bindparam("party_id"))
    .order_by(
        func.coalesce(users.c.status == "active", False).desc(),
        (party_members.c.role != Role.MEMBER.value).desc(),
        party_members.c.joined_at,
        party_members.c.user_id,
    )
    .limit(1)
)
_TIES = """
select party_id from party_members where user_id = $1 and ($2::uuid is null or party_id > $2)
 union
select party_id from party_invitations
 where guest_id = $1 and status = 'pending' and ($2::uuid is null or party_id > $2)
 order by party_id limit $3"""

_OFFER = party_invitations.c.id == bindparam("invitation_id")
_ADD_INVITATION = Statement(insert(party_invitations))
_FIND_INVITATION = Statement(select(party_invitations).where(_OFFER))
_GET_INVITATION = Statement(select(party_invitations).where(_OFFER).with_for_update(key_share=True))
_PENDING = Statement(
    select(party_invitations)
    .where(
        party_invitations.c.party_id == bindparam("party_id"),
        party_invitations.c.guest_id == bindparam("guest_id"),
        party_invitations.c.status == InvitationStatus.PENDING.value,
    )
    .with_for_update(key_share=True)
)
_SAVE_INVITATION = Statement(update(party_invitations).where(_OFFER).values(status=bindparam("new_status")))
# Whether it was answered, taken back or forgotten: a month after it could be answered last, it is history.
FORGET_INVITATIONS = """
delete from party_invitations where id in (
    select id from party_invitations where expires_at < clock_timestamp() - interval '30 days'
     order by expires_at limit 1000 for update skip locked)"""

_BAN = Statement(insert_or_not(party_bans).on_conflict_do_nothing())
_LIFT = Statement(
    delete(party_bans).where(
        party_bans.c.party_id == bindparam("of_party"), party_bans.c.user_id == bindparam("of_user")
    )
)

_KNOWN = "select exists (select from users where id = $1)"
_HOLD = "select status = 'active' from users where id = $1 for share"


class PartyScope(Protocol):
    """What the repositories need of the work that they belong to."""

    async def session(self) -> PooledConnection: ...


class SqlParties:
    """Port `Parties`."""

    def __init__(self, work: PartyScope) -> None:
        self._work = work

    async def add(self, party: Party, owner: Membership) -> None:
        """Insert both."""
        session = await self._work.session()
        await _ADD.run(session, **_columns(party))
        await _ADD_MEMBER.run(session, **_seat(owner))

    async def find(self, party_id: PartyId) -> Party | None:
        """Find without a lock."""
        row = await _FIND.row(await self._work.session(), party_id=party_id)
        return _party(row) if row else None

    async def get(self, party_id: PartyId) -> Party:
        """Find and lock."""
        row = await _GET.row(await self._work.session(), party_id=party_id)
        if row is None:
            raise NotFound
        return _party(row)

    async def save(self, party: Party) -> None:
        """Store under the version that was read, and raise it; the count is only ever counted."""
        new = {f"new_{name}": value for name, value in _columns(party).items()}
        del new["new_id"], new["new_member_count"]
        new["new_version"] = party.version + 1
        session = await self._work.session()
        if await _SAVE.run(session, party_id=party.id, seen=party.version, **new) == 0:
            raise Contended("parties.version")
        party.version += 1

    async def remove(self, party_id: PartyId) -> None:
        """Delete the row; what belongs to it goes with it."""
        await _REMOVE.run(await self._work.session(), party_id=party_id)

    async def standing(self, party_id: PartyId, user_id: UserId, at: datetime) -> Standing:
        """Read all three in one statement."""
        row = await (await self._work.session()).fetchrow(_STANDING, party_id, user_id, at)
        assert row is not None, "a select without a table answers one row"
        return _standing(row)


class SqlMemberships:
    """Port `Memberships`."""

    def __init__(self, work: PartyScope) -> None:
        self._work = work

    async def find(self, party_id: PartyId, user_id: UserId) -> Membership | None:
        """Find without a lock: the party's is enough."""
        row = await _FIND_MEMBER.row(await self._work.session(), party_id=party_id, user_id=user_id)
        return _membership(row) if row else None

    async def add(self, membership: Membership) -> None:
        """Count first: that decides."""
        session = await self._work.session()
        if await session.execute(_COUNT_UP, membership.party_id) == "UPDATE 0":
            raise PartyFull
        await _ADD_MEMBER.run(session, **_seat(membership))

    async def save(self, membership: Membership) -> None:
        """Store the role."""
        row = {"party_id": membership.party_id, "user_id": membership.user_id}
        await _SAVE_MEMBER.run(await self._work.session(), **row, new_role=membership.role)

    async def remove(self, membership: Membership) -> None:
        """Delete the row, and count it no more."""
        session = await self._work.session()
        row = {"party_id": membership.party_id, "user_id": membership.user_id}
        if await _REMOVE_MEMBER.run(session, **row):
            await session.execute(_COUNT_DOWN, membership.party_id)

    async def heir(self, party_id: PartyId) -> Membership | None:
        """Find the longest-serving officer, else member, of those who are active."""
        row = await _HEIR.row(await self._work.session(), party_id=party_id)
        return _membership(row) if row else None

    async def ties(self, user_id: UserId, *, after: PartyId | None, limit: int) -> Sequence[PartyId]:
        """List what two indexes know."""
        rows = await (await self._work.session()).fetch(_TIES, user_id, after, limit)
        return [PartyId(row["party_id"]) for row in rows]


class SqlInvitations:
    """Port `Invitations`."""

    def __init__(self, work: PartyScope) -> None:
        self._work = work

    async def add(self, invitation: Invitation) -> None:
        """Insert."""
        row = {name: getattr(invitation, name) for name in INVITATION}
        await _ADD_INVITATION.run(await self._work.session(), **row)

    async def find(self, invitation_id: InvitationId) -> Invitation | None:
        """Find without a lock."""
        row = await _FIND_INVITATION.row(await self._work.session(), invitation_id=invitation_id)
        return _invitation(row) if row else None

    async def get(self, invitation_id: InvitationId) -> Invitation:
        """Find and lock."""
        row = await _GET_INVITATION.row(await self._work.session(), invitation_id=invitation_id)
        if row is None:
            raise NotFound
        return _invitation(row)

    async def pending(self, party_id: PartyId, guest_id: UserId) -> Invitation | None:
        """Find and lock."""
        row = await _PENDING.row(await self._work.session(), party_id=party_id, guest_id=guest_id)
        return _invitation(row) if row else None

    async def save(self, invitation: Invitation) -> None:
        """Store the status."""
        session = await self._work.session()
        await _SAVE_INVITATION.run(session, invitation_id=invitation.id, new_status=invitation.status)


class SqlBans:
    """Port `Bans`."""

    def __init__(self, work: PartyScope) -> None:
        self._work = work

    async def add(self, ban: Ban) -> bool:
        """Insert, unless it is there."""
        row = {column.name: getattr(ban, column.name) for column in party_bans.c}
        return await _BAN.run(await self._work.session(), **row) == 1

    async def remove(self, party_id: PartyId, user_id: UserId) -> bool:
        """Delete the row."""
        return await _LIFT.run(await self._work.session(), of_party=party_id, of_user=user_id) == 1


class SqlPeople:
    """Port `People`: a read of identity's table, in the transaction that acts on it."""

    def __init__(self, work: PartyScope) -> None:
        self._work = work

    async def known(self, user_id: UserId) -> bool:
        """Look for the row."""
        found: bool = await (await self._work.session()).fetchval(_KNOWN, user_id)
        return found

    async def hold(self, user_id: UserId) -> bool:
        """Share the row's lock, so that nobody disables the user meanwhile."""
        return await (await self._work.session()).fetchval(_HOLD, user_id) is True


class SqlDoors:
    """Port `Doors`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def look(self, party_id: PartyId, user_id: UserId, at: datetime) -> tuple[Party, Standing] | None:
        """Read both in one statement."""
        async with self._database.session() as session:
            row = await session.fetchrow(_LOOK, party_id, user_id, at)
        return (_party(row), _standing(row)) if row else None


def _columns(party: Party) -> dict[str, object]:
    key = key_of(party.name)
    return {name: getattr(party, name) for name in COLUMNS} | {"name_key": key, "name_grams": grams_of(key)}


def _seat(membership: Membership) -> dict[str, object]:
    return {name: getattr(membership, name) for name in MEMBERSHIP}


def _party(row: Record) -> Party:
    values = {name: row[name] for name in COLUMNS}
    return Party(**values | {"visibility": Visibility(row["visibility"])})


def _standing(row: Record) -> Standing:
    role = Role(row["role"]) if row["role"] else None
    return Standing(role, invited=row["invited"], banned=row["banned"])


def _membership(row: Record) -> Membership:
    values = {name: row[name] for name in MEMBERSHIP}
    return Membership(**values | {"role": Role(row["role"])})


def _invitation(row: Record) -> Invitation:
    values = {name: row[name] for name in INVITATION}
    return Invitation(**values | {"status": InvitationStatus(row["status"])})
