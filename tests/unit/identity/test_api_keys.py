"""API keys: who makes one, what it may do, and when it ends."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from parlor.adapters.memory.throttle import MemoryThrottle
from parlor.core.identity.api_keys import (
    MANAGE,
    MAX_KEYS,
    ApiKey,
    InvalidApiKey,
    KeyPrincipal,
    PrefixTaken,
    TooManyApiKeys,
    draw,
    prefix_of,
)
from parlor.core.identity.api_keys_use_cases import (
    AuthenticateKey,
    CreateApiKey,
    IssueApiKey,
    KeepBootstrapKey,
    MadeKey,
    RevokeApiKey,
)
from parlor.core.identity.history import LoginEntry, Method, Outcome
from parlor.core.identity.model import InvalidToken, User, UserStatus
from parlor.core.identity.use_cases import Principal
from parlor.core.shared.actor import Actor, ActorKind, PermissionMissing
from parlor.core.shared.errors import Invalid, NotFound, TooMany
from parlor.core.shared.ids import ApiKeyId, SessionId, uuid7
from tests.builders import a_user, an_actor, an_api_key
from tests.fakes.api_keys import FakeKeyRing, FakeKeyUses
from tests.fakes.clock import NOON
from tests.unit.identity.conftest import CLIENT, Identity

HOUR = timedelta(hours=1)
BOOT = "parlor_boot_" + "s" * 43
HERE = "192.0.2.7"
SESSION = SessionId(uuid7())


class Keys:
    """Every use case of keys, over the store of identity."""

    def __init__(self, identity: Identity) -> None:
        work: Any = identity.database.work
        self.identity = identity
        self.uses = FakeKeyUses()
        self.ring = FakeKeyRing(lambda: identity.database.store.api_keys)
        self.create = CreateApiKey(work, identity.clock)
        self.issue = IssueApiKey(work, identity.clock)
        self.keep = KeepBootstrapKey(work, identity.clock)
        self.revoke = RevokeApiKey(work, identity.clock)
        self.throttle = MemoryThrottle(monotonic=lambda: 0.0)
        self.checks = AuthenticateKey(self.ring, identity.directory, self.uses, self.throttle, identity.clock)

    async def authenticate(self, shown: str, network: str = HERE) -> KeyPrincipal:
        return await self.checks(shown, network=network)

    async def made(self, maker: User, *scopes: str, **fields: Any) -> MadeKey:
        """Make a key as somebody who may do two things."""
        snapshot = await self.identity.directory.by_id(maker.id)
        assert snapshot is not None
        actor = an_actor("tasks:create", "users:manage", user_id=maker.id)
        given = {"name": "films", "scopes": frozenset(scopes), "expires_at": None, "client": CLIENT, **fields}
        return await self.create(Principal(actor, snapshot, SESSION), **given)

    async def rights(self, made: MadeKey) -> set[str]:
        return set((await self.authenticate(made.shown)).actor.permissions)

    @property
    def stored(self) -> list[ApiKey]:
        return list(self.identity.database.store.api_keys.api_keys.values())


@pytest.fixture
def keys(identity: Identity) -> Keys:
    return Keys(identity)


async def test_a_key_acts_for_its_maker_by_its_own_id(keys: Keys) -> None:
    ada = await keys.identity.add()
    made = await keys.made(ada, "tasks:create")
    principal = await keys.authenticate(made.shown)
    actor = Actor(ActorKind.API_KEY, made.api_key.id, ada.id, frozenset({"tasks:create"}))
    assert principal == KeyPrincipal(actor)


async def test_of_a_key_only_its_hash_is_stored(keys: Keys) -> None:
    made = await keys.made(await keys.identity.add(), "tasks:create")
    (stored,) = keys.stored
    secret = made.shown.split("_", 2)[2]
    assert secret not in repr(stored)
    assert stored.last_four == made.shown[-4:]
    assert made.shown.startswith(f"parlor_{stored.prefix}_")


async def test_no_two_keys_are_alike() -> None:
    drawn = {draw() for _ in range(100)}
    assert len({prefix_of(shown) for shown in drawn}) == 100


async def test_nobody_gives_a_key_what_they_may_not_do_themselves(keys: Keys) -> None:
    with pytest.raises(PermissionMissing):
        await keys.made(await keys.identity.add(), "tasks:create", "roles:manage")
    assert keys.stored == []


async def test_a_key_may_do_no_more_than_its_maker_may_now(keys: Keys) -> None:
    ada = await keys.identity.add(a_user(roles=frozenset({"admin"})))
    made = await keys.made(ada, "tasks:create", "users:manage")
    assert await keys.rights(made) == {"tasks:create", "users:manage"}
    async with keys.identity.changing(ada) as user:
        user.roles = frozenset({"user"})
    assert await keys.rights(made) == {"tasks:create"}
    async with keys.identity.changing(ada) as user:
        user.roles = frozenset()
    assert await keys.rights(made) == set()


async def test_a_key_ends_with_its_maker(keys: Keys) -> None:
    ada = await keys.identity.add()
    made = await keys.made(ada, "tasks:create")
    async with keys.identity.changing(ada) as user:
        user.status = UserStatus.DISABLED
    with pytest.raises(InvalidApiKey):
        await keys.authenticate(made.shown)
    keys.identity.database.store.identity.users.clear()
    with pytest.raises(InvalidApiKey):
        await keys.authenticate(made.shown)


async def test_whose_account_has_just_ended_makes_no_key(keys: Keys) -> None:
    ada = await keys.identity.add(a_user(status=UserStatus.DISABLED))
    with pytest.raises(InvalidToken):
        await keys.made(ada, "tasks:create")


async def test_that_a_key_was_made_stands_in_its_makers_history(keys: Keys) -> None:
    ada = await keys.identity.add()
    await keys.made(ada, "tasks:create")
    with pytest.raises(PermissionMissing):
        await keys.made(ada, "roles:manage")
    assert keys.identity.database.store.identity.logins == [
        LoginEntry(ada.id, NOON, Outcome.API_KEY_CREATED, Method.SESSION, CLIENT, SESSION)
    ]


async def test_a_key_ends_on_the_second_and_says_when(keys: Keys) -> None:
    made = await keys.made(await keys.identity.add(), "tasks:create", expires_at=NOON + HOUR)
    assert (await keys.authenticate(made.shown)).expires_at == (NOON + HOUR).timestamp()
    keys.identity.clock.now = NOON + HOUR
    with pytest.raises(InvalidApiKey):
        await keys.authenticate(made.shown)


@pytest.mark.parametrize("ends", [NOON, NOON - HOUR])
async def test_a_key_that_would_never_count_is_not_made(keys: Keys, ends: Any) -> None:
    with pytest.raises(Invalid) as refused:
        await keys.made(await keys.identity.add(), "tasks:create", expires_at=ends)
    assert refused.value.flaws[0].pointer == "/expires_at"


async def test_one_has_100_keys_at_most(keys: Keys) -> None:
    ada = await keys.identity.add()
    made = [await keys.made(ada, "tasks:create") for _ in range(MAX_KEYS)]
    with pytest.raises(TooManyApiKeys):
        await keys.made(ada, "tasks:create")
    await keys.revoke(an_actor(user_id=ada.id), made[0].api_key.id)
    await keys.made(ada, "tasks:create")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda shown: shown[:-1],
        lambda shown: shown + "x",
        lambda shown: shown.swapcase(),
        lambda shown: shown.replace("parlor_", "parlour_"),
        lambda shown: shown.removeprefix("parlor_"),
        lambda shown: shown + "\n",
        lambda shown: f" {shown}",
        lambda _: draw(),
        lambda _: "",
        lambda _: "parlor__",
        lambda _: "parlor_" + "x" * 10_000,
        lambda _: "parlor_abcdefgh_" + "\xe9" * 40,
        lambda _: "eyJhbGciOiJIUzI1NiJ9.e30.x",
        lambda _: "\ud800",
    ],
    ids=range(14),
)
async def test_what_is_not_the_key_is_refused_in_one_way(keys: Keys, spoil: Any) -> None:
    made = await keys.made(await keys.identity.add(), "tasks:create")
    with pytest.raises(InvalidApiKey):
        await keys.authenticate(spoil(made.shown))
    assert keys.uses.noted == {}


async def test_what_has_not_a_keys_form_is_not_looked_up(keys: Keys) -> None:
    for shown in ("", "x", "parlor_abcdefgh_short", "Bearer x", "parlor_a b_" + "x" * 40):
        with pytest.raises(InvalidApiKey):
            await keys.authenticate(shown)
    assert keys.ring.asked == 0


async def test_a_use_is_noted(keys: Keys) -> None:
    made = await keys.made(await keys.identity.add(), "tasks:create")
    await keys.authenticate(made.shown)
    assert keys.uses.noted == {made.api_key.id: NOON}


# Guessing


async def test_made_up_keys_are_looked_up_30_times_a_minute_for_each_address(keys: Keys) -> None:
    for _ in range(30):
        with pytest.raises(InvalidApiKey):
            await keys.authenticate(draw())
    for shown in (draw(), "no key at all"):
        with pytest.raises(TooMany):
            await keys.authenticate(shown)
    assert keys.ring.asked == 30
    with pytest.raises(InvalidApiKey):
        await keys.authenticate(draw(), "198.51.100.1")


async def test_a_guessed_secret_counts_although_its_prefix_is_known(keys: Keys) -> None:
    made = await keys.made(await keys.identity.add(), "tasks:create")
    await keys.authenticate(made.shown)
    for number in range(30):
        with pytest.raises(InvalidApiKey):
            await keys.authenticate(f"{made.shown[:-2]}{number:02}")
    with pytest.raises(TooMany):
        await keys.authenticate(f"{made.shown}x")


async def test_a_key_that_works_goes_on_beside_whoever_guesses(keys: Keys) -> None:
    made = await keys.made(await keys.identity.add(), "tasks:create")
    await keys.authenticate(made.shown)
    for _ in range(31):
        with pytest.raises((InvalidApiKey, TooMany)):
            await keys.authenticate(draw())
    await keys.authenticate(made.shown)


async def test_keys_that_are_right_do_not_count(keys: Keys) -> None:
    ada = await keys.identity.add()
    for _ in range(40):
        await keys.authenticate((await keys.made(ada, "tasks:create")).shown)


# Revoking


async def test_a_revoked_key_counts_no_more_and_is_not_there(keys: Keys) -> None:
    ada = await keys.identity.add()
    made = await keys.made(ada, "tasks:create")
    await keys.revoke(an_actor(user_id=ada.id), made.api_key.id)
    with pytest.raises(InvalidApiKey):
        await keys.authenticate(made.shown)
    with pytest.raises(NotFound):
        await keys.revoke(an_actor(user_id=ada.id), made.api_key.id)


async def test_what_happened_is_told_without_a_secret(keys: Keys) -> None:
    ada = await keys.identity.add()
    made = await keys.made(ada, "tasks:create")
    await keys.revoke(an_actor(user_id=ada.id), made.api_key.id)
    told = keys.identity.database.store.facts
    assert [fact.name for fact in told] == ["identity.api_key_created", "identity.api_key_revoked"]
    for fact in told:
        assert fact.subject == made.api_key.id
        assert fact.body == {"key_id": str(made.api_key.id), "user_id": str(ada.id)}


async def test_anothers_key_is_not_there_but_for_who_manages_keys(keys: Keys) -> None:
    made = await keys.made(await keys.identity.add(), "tasks:create")
    for stranger in (an_actor(), an_actor("users:manage"), Actor(ActorKind.API_KEY, uuid7())):
        with pytest.raises(NotFound):
            await keys.revoke(stranger, made.api_key.id)
    await keys.revoke(an_actor(MANAGE), made.api_key.id)
    with pytest.raises(NotFound):
        await keys.revoke(an_actor(MANAGE), ApiKeyId(uuid7()))


# Without a maker


async def test_a_key_without_a_maker_acts_with_its_scopes_alone(keys: Keys) -> None:
    made = await keys.issue(name="films", scopes=frozenset({"films:watch", "a:b"}), expires_at=None)
    actor = (await keys.authenticate(made.shown)).actor
    assert (actor.id, actor.user_id) == (made.api_key.id, None)
    assert actor.permissions == {"films:watch", "a:b"}
    with pytest.raises(NotFound):
        await keys.revoke(Actor(ActorKind.API_KEY, made.api_key.id), made.api_key.id)
    await keys.revoke(an_actor(MANAGE), made.api_key.id)
    with pytest.raises(InvalidApiKey):
        await keys.authenticate(made.shown)


@pytest.mark.parametrize(
    "scope", ["", "tasks", "Tasks:create", "tasks:", ":create", "tasks:cre ate", "a:b\n"]
)
async def test_a_scope_is_a_permissions_name(keys: Keys, scope: str) -> None:
    with pytest.raises(Invalid) as refused:
        await keys.issue(name="films", scopes=frozenset({scope}), expires_at=None)
    assert [flaw.code for flaw in refused.value.flaws] == ["invalid_scope"]


async def test_the_bootstrap_key_is_made_once_with_the_scopes_of_now(keys: Keys) -> None:
    first = await keys.keep(BOOT, frozenset({"a:b"}))
    again = await keys.keep(BOOT, frozenset({"a:b"}))
    assert (again.id, len(keys.stored)) == (first.id, 1)
    await keys.keep(BOOT, frozenset({"c:d"}))
    assert (await keys.authenticate(BOOT)).actor.permissions == {"c:d"}


async def test_a_revoked_bootstrap_key_stays_revoked(keys: Keys) -> None:
    key = await keys.keep(BOOT, frozenset({"a:b"}))
    await keys.revoke(an_actor(MANAGE), key.id)
    assert (await keys.keep(BOOT, frozenset({"a:b", "c:d"}))).revoked_at is not None
    with pytest.raises(InvalidApiKey):
        await keys.authenticate(BOOT)


async def test_a_bootstrap_key_takes_no_others_place(keys: Keys) -> None:
    async with keys.identity.database.work() as work:
        await work.api_keys.add(replace(an_api_key(), prefix="boot"))
    with pytest.raises(PrefixTaken):
        await keys.keep(BOOT, frozenset({"a:b"}))
    with pytest.raises(InvalidApiKey):
        await keys.authenticate(BOOT)
