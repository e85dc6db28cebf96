"""Port ApiKeys: one test body over memory and PostgreSQL."""

import asyncio
from dataclasses import fields, replace
from datetime import timedelta

import pytest

from parlor.core.identity.api_keys import ApiKey, PrefixTaken, draw
from parlor.core.identity.api_keys_use_cases import IssueApiKey, KeepBootstrapKey
from parlor.core.shared.errors import NotFound
from parlor.core.shared.ids import ApiKeyId, uuid7
from tests.builders import a_user, an_api_key
from tests.contract.backends import Backend
from tests.fakes.clock import NOON, FakeClock

SHOWN = "parlor_boot_" + "s" * 43


async def add(backend: Backend, *keys: ApiKey) -> None:
    async with backend.work() as work:
        for key in keys:
            await work.api_keys.add(key)


async def found(backend: Backend, key: ApiKey) -> ApiKey:
    async with backend.work() as work:
        by_prefix = await work.api_keys.get_by_prefix(key.prefix)
        assert await work.api_keys.get(key.id) == by_prefix
    assert by_prefix is not None
    return by_prefix


async def a_maker(backend: Backend) -> ApiKey:
    """Store a user, and give a key of theirs in which no field has its default."""
    maker = a_user()
    async with backend.work() as work:
        await work.users.add(maker)
    later = NOON + timedelta(days=1)
    scopes = frozenset({"a:b", "c:d"})
    return an_api_key(maker_id=maker.id, scopes=scopes, expires_at=later, revoked_at=later)


async def test_every_field_of_a_key_comes_back(backend: Backend) -> None:
    key = await a_maker(backend)
    assert all(getattr(key, field.name) is not None for field in fields(ApiKey))
    await add(backend, key)
    assert await found(backend, key) == key


async def test_scopes_and_the_end_are_saved(backend: Backend) -> None:
    key = an_api_key()
    await add(backend, key)
    changed = replace(key, scopes=frozenset({"e:f"}), revoked_at=NOON)
    async with backend.work() as work:
        await work.api_keys.save(changed)
    assert await found(backend, key) == changed


async def test_an_absent_key_is_not_found(backend: Backend) -> None:
    async with backend.work() as work:
        assert await work.api_keys.get_by_prefix("nothing") is None
        with pytest.raises(NotFound):
            await work.api_keys.get(ApiKeyId(uuid7()))


async def test_a_prefix_is_taken_once(backend: Backend) -> None:
    await add(backend, an_api_key(SHOWN))
    with pytest.raises(PrefixTaken):
        await add(backend, an_api_key(SHOWN))


async def test_revoked_keys_and_those_of_others_are_not_counted(backend: Backend) -> None:
    mine, theirs = await a_maker(backend), await a_maker(backend)
    others = [replace(an_api_key(draw()), maker_id=mine.maker_id) for _ in range(2)]
    await add(backend, mine, theirs, an_api_key(), *others)
    assert mine.maker_id is not None
    async with backend.work() as work:
        assert await work.api_keys.count(mine.maker_id) == 2


async def test_processes_that_start_at_once_make_one_bootstrap_key(backend: Backend) -> None:
    keep = KeepBootstrapKey(backend.work, FakeClock())
    keys = await asyncio.gather(*(keep(SHOWN, frozenset({"a:b"})) for _ in range(8)))
    assert len({key.id for key in keys}) == 1
    assert [told.name for told in await backend.told()] == ["identity.api_key_created"]


async def test_what_happens_to_a_key_is_told(backend: Backend) -> None:
    made = await IssueApiKey(backend.work, FakeClock())(
        name="films", scopes=frozenset({"a:b"}), expires_at=None
    )
    (told,) = await backend.told()
    assert (told.name, told.subject) == ("identity.api_key_created", made.api_key.id)
    assert told.body == {"key_id": str(made.api_key.id), "user_id": None}
