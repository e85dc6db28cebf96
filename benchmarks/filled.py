"""Chats with messages, and parties, made by PostgreSQL itself: a million of them in less than two minutes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg

from benchmarks.sized import PATIENCE_S, RISING_ID
from parlor.core.shared.ids import ChatId, PartyId, UserId

EACH = 100  # messages of a chat that is not the long one
LONG = 0
"""The number of the chat that has half of all messages."""
RARE = 1000
"""Each so many messages, or parties, share a rare word."""
JOINABLE = 5_000
FIRST = (
    "Red Silver Lucky Quiet Brave Velvet Wild Amber Lonely Golden Happy Frozen Iron Jolly Kind Lazy Merry Noble "
    "Odd Purple Quick Rusty Salty Tiny Urban Vivid Windy Young Zesty Broken Crimson Dusty Electric Fearless "
    "Gentle Hidden"
)
SECOND = (
    "Dragons Unicorns Singers Tellers Owls Foxes Badgers Comets Dancers Eagles Falcons Giants Hunters Islanders "
    "Jesters Knights Lions Mermaids Nomads Otters Pirates Queens Rangers Sailors Tigers Umbrellas Vikings Wizards "
    "Yetis Zebras Architects Bakers Cowboys Dreamers Explorers Farmers Gamblers"
)
"""Words of parties' names: each first stands beside each second, and no word in more than a 36th of them."""
_CHAT, _PARTY, _PARTYS_CHAT = "7000-8000", "7000-9000", "7000-a000"


def _one_of(words: str) -> str:
    return f"(string_to_array('{words}', ' '))[1 + number % {len(words.split())}]"


def _id(kind: str, number: str) -> str:
    return f"('00000000-0000-{kind}-' || lpad(to_hex({number}), 12, '0'))::uuid"


_CHATS = f"""
with made as (
    insert into chats (id, kind, title, member_count, created_at, updated_at, version)
    select {_id(_CHAT, "number")}, 'group', 'Chat ' || number, 1, moment, moment, 1
      from generate_series(0, $1::int) as number, (values (now() - interval '1 year')) at (moment)
    returning id, created_at),
heads as (
    insert into chat_heads (chat_id, last_seq, last_rev, active_at)
    select id, last, last, created_at
      from made, lateral (select case id when {_id(_CHAT, "0")} then $2::int else {EACH} end as last) has)
insert into chat_members (chat_id, user_id, role, joined_at, joined_seq, read_seq, rev)
select id, $3::uuid, 'owner', created_at, 0, 0, 0 from made"""
_MESSAGES = f"""
insert into messages (chat_id, seq, id, rev, author_id, kind, text, created_at, found_by)
select chat_id, seq, {RISING_ID}, seq, $3::uuid, 'user',
       format('Number %s: sing the %s song of rare%s to common%s, or tell the truth', seq, seq % 100, rare, common),
       moment,
       array_to_tsvector(array['#' || replace(chat_id::text, '-', ''), 'number', seq::text, 'sing', 'the',
           (seq % 100)::text, 'song', 'of', 'rare' || rare, 'to', 'common' || common, 'or', 'tell', 'truth'])
  from generate_series(1, $1::int) as number,
       lateral (select case when number <= $2::int then {_id(_CHAT, "0")}
                            else {_id(_CHAT, f"((number - $2::int - 1) / {EACH} + 1)")} end as chat_id,
                       case when number <= $2::int then number
                            else (number - $2::int - 1) % {EACH} + 1 end as seq,
                       number / {RARE} as rare, number % 10 as common,
                       now() - make_interval(secs => ($1::int - number) * 0.5) as moment) has"""
_PARTIES = f"""
with made as (
    insert into parties (id, name, name_key, name_grams, description, visibility, capacity, owner_id, member_count,
                         chat_id, created_at, updated_at, version)
    select {_id(_PARTY, "number")}, name, lower(name), lower(name), 'Sings and tells.', 'public', 8, $2::uuid, 1,
           {_id(_PARTYS_CHAT, "number")}, moment, moment, 1
      from generate_series(0, $1::int - 1) as number,
           lateral (select {_one_of(FIRST)} || ' ' || {_one_of(SECOND)} || ' '
                        || substr(md5((number / {RARE})::text), 1, 7) as name,
                           now() - make_interval(secs => ($1::int - number) * 0.5) as moment) has
    returning id, owner_id, created_at)
insert into party_members (party_id, user_id, role, joined_at) select id, owner_id, 'owner', created_at from made"""
_PARTYS_CHATS = f"""
with made as (
    insert into chats (id, kind, title, party_id, member_count, created_at, updated_at, version)
    select chat_id, 'party', name, id, 1, created_at, created_at, 1
      from parties where id >= {_id(_PARTY, f"greatest(0, $1::int - {JOINABLE})")}
    returning id, created_at),
heads as (insert into chat_heads (chat_id, active_at) select id, created_at from made)
insert into chat_members (chat_id, user_id, role, joined_at, joined_seq, read_seq, rev)
select id, $2::uuid, 'owner', created_at, 0, 0, 0 from made"""


def chat(number: int) -> ChatId:
    """Name one of the chats; the first is the long one."""
    return ChatId(UUID(f"00000000-0000-{_CHAT}-{number:012x}"))


def party(number: int) -> PartyId:
    """Name one of the parties; the newest 5,000 have chats, and can be joined."""
    return PartyId(UUID(f"00000000-0000-{_PARTY}-{number:012x}"))


def common_word(number: int) -> str:
    """A word that a tenth of all messages have."""
    return f"common{number % 10}"


def rare_word(number: int) -> str:
    """A word that a thousand messages in a row have."""
    return f"rare{number // RARE}"


async def fill_chats(connection: "asyncpg.Connection[Any]", rows: int, owner: UserId) -> None:
    """Make so many messages, half of them in one chat, all of this one's."""
    half = rows // 2
    async with _without_index(connection, "ix_messages_found_by"):
        await connection.execute(_CHATS, half // EACH, half, owner, timeout=PATIENCE_S)
        await connection.execute(_MESSAGES, rows, half, owner, timeout=PATIENCE_S)


async def fill_parties(connection: "asyncpg.Connection[Any]", rows: int, owner: UserId) -> None:
    """Make so many parties, all of this one's."""
    async with _without_index(connection, "ix_parties_grams"):
        await connection.execute(_PARTIES, rows, owner, timeout=PATIENCE_S)
        await connection.execute(_PARTYS_CHATS, rows, owner, timeout=PATIENCE_S)


@asynccontextmanager
async def _without_index(connection: "asyncpg.Connection[Any]", name: str) -> AsyncIterator[None]:
    """Build it in one go from what is there in the end: a tenth of what each row's own entries cost."""
    statement = await connection.fetchval("select indexdef from pg_indexes where indexname = $1", name)
    await connection.execute("set synchronous_commit = off; set maintenance_work_mem = '256MB'")
    await connection.execute(f"drop index {name}")
    yield
    await connection.execute(statement, timeout=PATIENCE_S)
    await connection.execute("reset synchronous_commit; reset maintenance_work_mem")
