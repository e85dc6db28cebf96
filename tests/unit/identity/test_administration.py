"""Who may act at all: disabled, enabled, signed out by somebody else."""

from dataclasses import dataclass, field

import pytest

from parlor.core.identity.administration import ChangeStatus, EndSessions
from parlor.core.identity.model import (
    MANAGE_USERS,
    AccountDeleted,
    InvalidCredentials,
    InvalidGrant,
    InvalidToken,
    User,
    UserStatus,
)
from parlor.core.identity.roles import LastAdmin
from parlor.core.shared.actor import PermissionMissing
from parlor.core.shared.errors import NotFound, Stale
from parlor.core.shared.ids import UserId, uuid7
from parlor.core.shared.preconditions import Expected
from tests.builders import a_user, an_actor
from tests.fakes.clock import NOON
from tests.unit.identity.conftest import CLIENT, Identity

MANAGER = an_actor(MANAGE_USERS)
USER = an_actor("tasks:create", "roles:manage")
DISABLED, ACTIVE = UserStatus.DISABLED, UserStatus.ACTIVE


@dataclass(slots=True)
class Office:
    """Where other people's accounts are looked after."""

    identity: Identity = field(default_factory=Identity)

    @property
    def change(self) -> ChangeStatus:
        return ChangeStatus(self.identity.database.work, self.identity.clock)

    @property
    def end_sessions(self) -> EndSessions:
        return EndSessions(self.identity.database.work, self.identity.clock)


@pytest.fixture
def office() -> Office:
    return Office()


@pytest.fixture
async def bob(office: Office) -> User:
    return await office.identity.add(a_user())


async def test_a_disabled_user_can_do_nothing_any_more(office: Office, bob: User) -> None:
    identity = office.identity
    pair = await identity.enter(bob)
    identity.clock.advance(seconds=1)
    disabled = await office.change(MANAGER, bob.id, DISABLED)
    assert (disabled.status, disabled.version, disabled.updated_at) == (DISABLED, 2, identity.clock())
    assert identity.user(bob) == disabled
    assert identity.live_sessions(bob) == []
    with pytest.raises(InvalidToken):
        await identity.authenticate(pair.access_token)
    with pytest.raises(InvalidGrant):
        await identity.refresh(refresh_token=pair.refresh_token, client=CLIENT)
    with pytest.raises(InvalidCredentials):
        await identity.enter(bob)
    assert identity.facts() == [("identity.user_disabled", bob.id)]


async def test_who_is_enabled_again_logs_in_again(office: Office, bob: User) -> None:
    """What was ended stays so."""
    identity = office.identity
    pair = await identity.enter(bob)
    await office.change(MANAGER, bob.id, DISABLED)
    enabled = await office.change(MANAGER, bob.id, ACTIVE)
    assert (enabled.status, enabled.version) == (ACTIVE, 3)
    with pytest.raises(InvalidToken):
        await identity.authenticate(pair.access_token)
    assert (await identity.principal(await identity.enter(bob))).user.id == bob.id
    assert identity.facts()[1:] == [("identity.user_enabled", bob.id)]


async def test_what_its_owner_deleted_does_not_come_back(office: Office, bob: User) -> None:
    async with office.identity.changing(bob) as stored:
        stored.leave(NOON)
    with pytest.raises(AccountDeleted):
        await office.change(MANAGER, bob.id, ACTIVE)
    assert office.identity.user(bob).status is DISABLED


@pytest.mark.parametrize("status", [None, ACTIVE])
async def test_what_is_so_already_changes_nothing(
    office: Office, bob: User, status: UserStatus | None
) -> None:
    pair = await office.identity.enter(bob)
    assert await office.change(MANAGER, bob.id, status) == bob
    await office.identity.authenticate(pair.access_token)
    assert office.identity.facts() == []


async def test_only_the_version_that_is_expected_is_changed(office: Office, bob: User) -> None:
    for status in (DISABLED, None):
        with pytest.raises(Stale):
            await office.change(MANAGER, bob.id, status, expected=Expected(frozenset({7})))
    assert office.identity.user(bob) == bob
    await office.change(MANAGER, bob.id, DISABLED, expected=Expected(frozenset({1, 7})))


async def test_the_last_who_manages_roles_is_not_disabled(office: Office) -> None:
    ada = await office.identity.add(a_user(roles=frozenset({"admin"})))
    pair = await office.identity.enter(ada)
    with pytest.raises(LastAdmin):
        await office.change(MANAGER, ada.id, DISABLED)
    assert office.identity.user(ada) == ada
    await office.identity.authenticate(pair.access_token)
    await office.identity.add(a_user(roles=frozenset({"admin"})))
    await office.change(MANAGER, ada.id, DISABLED)


async def test_a_version_that_is_not_expected_is_told_before_the_last_admin(office: Office) -> None:
    ada = await office.identity.add(a_user(roles=frozenset({"admin"})))
    with pytest.raises(Stale):
        await office.change(MANAGER, ada.id, DISABLED, expected=Expected(frozenset({7})))


async def test_all_sessions_of_somebody_end_with_every_token(office: Office, bob: User) -> None:
    identity = office.identity
    pairs = [await identity.enter(bob) for _ in range(2)]
    other = await identity.add(a_user())
    theirs = await identity.enter(other)
    await office.end_sessions(MANAGER, bob.id)
    for pair in pairs:
        with pytest.raises(InvalidToken):
            await identity.authenticate(pair.access_token)
    assert identity.live_sessions(bob) == []
    assert identity.user(bob).epoch == 1
    assert (await identity.authenticate(theirs.access_token)).user.id == other.id
    assert (await identity.principal(await identity.enter(bob))).user.id == bob.id


async def test_without_the_permission_nothing_is_looked_at(office: Office) -> None:
    nobody = UserId(uuid7())
    for trying in (office.change(USER, nobody, DISABLED), office.end_sessions(USER, nobody)):
        with pytest.raises(PermissionMissing):
            await trying


async def test_an_unknown_user_is_not_found(office: Office) -> None:
    nobody = UserId(uuid7())
    for trying in (office.change(MANAGER, nobody, DISABLED), office.end_sessions(MANAGER, nobody)):
        with pytest.raises(NotFound):
            await trying


async def test_tokens_are_told_which_roles_their_user_holds(office: Office) -> None:
    """Whether they say so is theirs."""
    identity = office.identity
    ada = await identity.add(a_user(roles=frozenset({"admin", "user"})))
    pair = await identity.enter(ada)
    again = await identity.refresh(refresh_token=pair.refresh_token, client=CLIENT)
    for token in (pair.access_token, again.access_token):
        assert identity.access.told_roles[token] == {"admin", "user"}
