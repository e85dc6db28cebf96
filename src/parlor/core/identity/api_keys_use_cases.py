"""What people and services do with API keys, and who a request with one acts as."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime

from parlor.core.identity.api_keys import (
    MAX_KEYS,
    ApiKey,
    ApiKeyWork,
    KeyPrincipal,
    KeyUses,
    KnownKeys,
    PrefixTaken,
    TooManyApiKeys,
    check_expiry,
    check_scopes,
    draw,
    find_key,
    has_key_form,
    key_standing,
    prefix_of,
)
from parlor.core.identity.events import ApiKeyCreated, ApiKeyRevoked
from parlor.core.identity.history import LoginEntry, Method, Outcome
from parlor.core.identity.model import Client, InvalidToken
from parlor.core.identity.ports import Principals
from parlor.core.identity.throttling import API_KEY_BY_ADDRESS, Throttle
from parlor.core.identity.use_cases import Principal
from parlor.core.shared.actor import Actor
from parlor.core.shared.clock import Clock
from parlor.core.shared.ids import ApiKeyId
from parlor.core.shared.work import UnitOfWork


@dataclass(frozen=True, slots=True)
class MadeKey:
    """A new key, and what its holder shows: nobody can be told again."""

    api_key: ApiKey
    shown: str


@dataclass(frozen=True, slots=True)
class CreateApiKey:
    """A person makes a key that may do some of what they may do themselves."""

    work: UnitOfWork[ApiKeyWork]
    clock: Clock

    async def __call__(
        self,
        principal: Principal,
        *,
        name: str,
        scopes: AbstractSet[str],
        expires_at: datetime | None,
        client: Client,
    ) -> MadeKey:
        """Raises Invalid, PermissionMissing, TooManyApiKeys, InvalidToken where the account has just ended."""
        now, maker_id = self.clock(), principal.user.id
        check_expiry(expires_at, now)
        for scope in sorted(scopes):
            principal.actor.must(scope)
        shown = draw()
        key = ApiKey.of(shown, name=name, scopes=scopes, maker_id=maker_id, at=now, expires_at=expires_at)
        line = LoginEntry(
            maker_id, now, Outcome.API_KEY_CREATED, Method.SESSION, client, principal.session_id
        )
        async with self.work() as work:
            maker = await work.users.get(maker_id)  # locked: the count below is true until the end
            if not maker.active:
                raise InvalidToken
            if await work.api_keys.count(maker.id) >= MAX_KEYS:
                raise TooManyApiKeys
            await work.api_keys.add(key)
            await work.history.add(line)
            work.publish(ApiKeyCreated(key.id, key.maker_id))
        return MadeKey(key, shown)


@dataclass(frozen=True, slots=True)
class IssueApiKey:
    """Whoever runs commands on the server issues a key that has no maker, and acts with its scopes alone."""

    work: UnitOfWork[ApiKeyWork]
    clock: Clock

    async def __call__(self, *, name: str, scopes: AbstractSet[str], expires_at: datetime | None) -> MadeKey:
        """Raises Invalid."""
        now = self.clock()
        check_expiry(expires_at, now)
        check_scopes(scopes)
        shown = draw()
        key = ApiKey.of(shown, name=name, scopes=scopes, maker_id=None, at=now, expires_at=expires_at)
        async with self.work() as work:
            await work.api_keys.add(key)
            work.publish(ApiKeyCreated(key.id, None))
        return MadeKey(key, shown)


BOOTSTRAP = "bootstrap"


@dataclass(frozen=True, slots=True)
class KeepBootstrapKey:
    """Whoever sets up the server has a key there from the start: made once, with the scopes that are set now.

    One that was revoked stays revoked.
    """

    work: UnitOfWork[ApiKeyWork]
    clock: Clock

    async def __call__(self, shown: str, scopes: AbstractSet[str]) -> ApiKey:
        """Raises Invalid, InvalidApiKey, PrefixTaken where another key has its prefix."""
        check_scopes(scopes)
        try:
            return await self._keep(shown, frozenset(scopes))
        except PrefixTaken:  # by another process that starts just now, as a rule
            return await self._keep(shown, frozenset(scopes))

    async def _keep(self, shown: str, scopes: frozenset[str]) -> ApiKey:
        async with self.work() as work:
            key = await work.api_keys.get_by_prefix(prefix_of(shown))
            if key is None:
                key = ApiKey.of(shown, name=BOOTSTRAP, scopes=scopes, maker_id=None, at=self.clock())
                await work.api_keys.add(key)
                work.publish(ApiKeyCreated(key.id, None))
            elif not key.is_shown_by(shown):
                raise PrefixTaken
            elif key.scopes != scopes:
                key.scopes = scopes
                await work.api_keys.save(key)
        return key


@dataclass(frozen=True, slots=True)
class RevokeApiKey:
    """Its maker, or who manages keys, ends a key for good."""

    work: UnitOfWork[ApiKeyWork]
    clock: Clock

    async def __call__(self, actor: Actor, key_id: ApiKeyId) -> None:
        """Raises NotFound, also where it was revoked before."""
        async with self.work() as work:
            key = await work.api_keys.get(key_id)
            key.must_be_visible(actor)
            await end_key(work, key, self.clock())


@dataclass(frozen=True, slots=True)
class AuthenticateKey:
    """Tells what an API key may do now: its scopes, as far as its maker may do that.

    Whoever shows a key that is not known here as right counts as trying, for their address, until it turns out right;
    so made-up keys do not get as far as the database for long, and a key that works is not slowed down by others'.
    """

    keys: KnownKeys
    principals: Principals
    uses: KeyUses
    throttle: Throttle
    clock: Clock

    async def __call__(self, shown: str, *, network: str) -> KeyPrincipal:
        """Raises InvalidApiKey, TooMany."""
        now = self.clock()
        if self._known(shown, now):
            known = await find_key(self.keys, shown, now)
            principal = await key_standing(self.principals, known)
        else:
            await self.throttle.take(API_KEY_BY_ADDRESS, network)
            known = await find_key(self.keys, shown, now)
            principal = await key_standing(self.principals, known)
            await self.throttle.give_back(API_KEY_BY_ADDRESS, network)
        self.uses.note(known.id, now)
        return principal

    def _known(self, shown: str, at: datetime) -> bool:
        known = self.keys.last_known(prefix_of(shown)) if has_key_form(shown) else None
        return known is not None and known.admits(shown, at)


async def end_key(work: ApiKeyWork, key: ApiKey, at: datetime) -> None:
    """Revoke it, and say so."""
    key.revoke(at)
    await work.api_keys.save(key)
    work.publish(ApiKeyRevoked(key.id, key.maker_id))
