"""One's own account: its profile, its address, its end, and registering unseen."""

from dataclasses import dataclass, field

import pytest

from parlor.core.identity import deletion
from parlor.core.identity.accounts import AskForVerification, ChangeProfile, ConfirmEmail, RegisterUnseen
from parlor.core.identity.deletion import DeleteAccount, ForgetClients
from parlor.core.identity.history import Outcome
from parlor.core.identity.mail_tokens import InvalidMailToken, Purpose
from parlor.core.identity.model import Client, InvalidCredentials, InvalidToken, UserStatus, check_email
from parlor.core.identity.passwords import WrongPassword
from parlor.core.identity.roles import LastAdmin
from parlor.core.shared.errors import Invalid, NotFound, Stale, TooMany
from parlor.core.shared.preconditions import Expected
from tests.builders import DAY, PASSWORD, a_user
from tests.fakes.clock import NOON
from tests.fakes.identity import FakeHasher
from tests.unit.identity.conftest import CLIENT, Identity


@dataclass(slots=True)
class CountingHasher(FakeHasher):
    """Remembers what it hashed."""

    hashed: list[str] = field(default_factory=list)

    async def hash(self, password: str) -> str:
        self.hashed.append(password)
        return await FakeHasher.hash(self, password)


def profile(identity: Identity) -> ChangeProfile:
    return ChangeProfile(identity.database.work, identity.clock)


def delete(identity: Identity) -> DeleteAccount:
    return DeleteAccount(identity.database.work, identity.check, identity.clock)


def unseen(identity: Identity) -> RegisterUnseen:
    return RegisterUnseen(
        identity.database.work, identity.hasher, identity.policy, identity.throttle, identity.clock
    )


async def test_a_name_is_changed(identity: Identity) -> None:
    user = await identity.add()
    principal = await identity.principal(await identity.enter(user))
    identity.clock.now += DAY
    changed = await profile(identity)(principal, display_name="Countess")
    assert identity.user(user) == changed
    assert (changed.display_name, changed.updated_at, changed.version) == ("Countess", NOON + DAY, 2)


@pytest.mark.parametrize("name", [None, "Ada"])
async def test_what_changes_nothing_leaves_the_version(identity: Identity, name: str | None) -> None:
    user = await identity.add(a_user(display_name="Ada"))
    principal = await identity.principal(await identity.enter(user))
    assert (await profile(identity)(principal, display_name=name)).version == 1


async def test_a_profile_that_changed_since_it_was_read_stays(identity: Identity) -> None:
    user = await identity.add()
    principal = await identity.principal(await identity.enter(user))
    with pytest.raises(Stale):
        await profile(identity)(principal, display_name="Bob", expected=Expected(frozenset({2})))
    assert identity.user(user).display_name == "Ada"


async def test_an_address_is_verified_with_the_mailed_token_once(identity: Identity) -> None:
    user = await identity.add()
    token = await identity.mailed(user, Purpose.EMAIL_VERIFICATION)
    confirm = ConfirmEmail(identity.database.work, identity.clock)
    await confirm(token=token)
    assert identity.user(user).email_verified is True
    with pytest.raises(InvalidMailToken):
        await confirm(token=token)


async def test_a_token_proves_the_address_that_it_went_to(identity: Identity) -> None:
    user = await identity.add()
    token = await identity.mailed(user, Purpose.EMAIL_VERIFICATION)
    async with identity.changing(user) as stored:
        stored.email = "another@example.org"
    with pytest.raises(InvalidMailToken):
        await ConfirmEmail(identity.database.work, identity.clock)(token=token)
    assert identity.user(user).email_verified is False


async def test_verification_is_ordered_for_ones_own_address_five_times_an_hour(identity: Identity) -> None:
    user = await identity.add()
    principal = await identity.principal(await identity.enter(user))
    ask = AskForVerification(identity.database.work, identity.throttle)
    for _ in range(5):
        await ask(principal)
    with pytest.raises(TooMany):
        await ask(principal)
    assert identity.mail_orders() == [{"occasion": "email_verification", "email": user.email}] * 5


async def test_who_registers_unseen_has_an_account_and_a_mail(identity: Identity) -> None:
    await unseen(identity)(email=" ada@example.org ", password=PASSWORD, display_name=None)
    (user,) = identity.database.store.identity.users.values()
    assert (user.email, user.display_name, user.roles) == ("ada@example.org", "ada", frozenset({"user"}))
    assert identity.facts() == [("identity.user_registered", user.id)]
    assert identity.mail_orders() == [{"occasion": "email_verification", "email": "ada@example.org"}]


async def test_a_known_address_hears_of_it_by_mail_alone(identity: Identity) -> None:
    """The password is hashed either way, the account stays as it is; the sixth mail within an hour is not sent."""
    user = await identity.add(a_user(email="ada@example.org"))
    before = identity.user(user)
    identity.hasher = hasher = CountingHasher()
    for _ in range(6):
        await unseen(identity)(email="ADA@example.org", password="another horse", display_name="x")
    assert hasher.hashed == ["another horse"] * 6
    assert identity.user(user) == before
    assert identity.mail_orders() == [{"occasion": "account_exists", "email": "ADA@example.org"}] * 5


async def test_who_registers_unseen_is_told_of_flaws(identity: Identity) -> None:
    with pytest.raises(Invalid):
        await unseen(identity)(email="nobody", password=PASSWORD, display_name=None)
    with pytest.raises(Invalid):
        await unseen(identity)(email="ada@example.org", password="password1", display_name=None)


async def test_a_deleted_account_says_nothing_of_its_owner(identity: Identity) -> None:
    user = await identity.add(a_user(email="ada@example.org", display_name="Ada", email_verified=True))
    pair = await identity.enter(user)
    await identity.mailed(user, Purpose.PASSWORD_RESET)
    await delete(identity)(await identity.principal(pair), password=PASSWORD, client=CLIENT)
    left = identity.user(user)
    assert (left.display_name, left.status, left.deleted_at) == ("deleted user", UserStatus.DISABLED, NOON)
    assert (left.email_verified, left.roles, left.password_hash) == (False, frozenset(), "")
    assert "ada" not in repr(left).lower()
    assert identity.live_sessions(user) == []
    assert identity.database.store.identity.mail_tokens == {}
    assert ("identity.user_deleted", user.id) in identity.facts()
    with pytest.raises(InvalidToken):
        await identity.principal(pair)


async def test_from_where_a_user_came_who_has_left_is_forgotten(
    identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In batches, and of nobody else; said twice it is the same."""
    monkeypatch.setattr(deletion, "BATCH", 2)
    gone, other = await identity.add(), await identity.add()
    for user in (gone, gone, gone, gone, gone, other):
        await identity.enter(user)
    for _ in range(2):
        await ForgetClients(identity.database.work)(gone.id)
    assert [line.client for line in identity.lines(gone)] == [Client()] * 5
    assert [session.client for session in identity.sessions(gone)] == [Client()] * 5
    assert [line.client for line in identity.lines(other)] == [CLIENT]
    assert [session.client for session in identity.sessions(other)] == [CLIENT]


async def test_the_address_is_free_and_the_old_account_cannot_be_entered_by_any(identity: Identity) -> None:
    user = await identity.add(a_user(email="ada@example.org"))
    await delete(identity)(
        await identity.principal(await identity.enter(user)), password=PASSWORD, client=CLIENT
    )
    again = await identity.register(email="ada@example.org", password=PASSWORD, display_name=None)
    assert again.id != user.id
    told = len(identity.lines(user))
    stand_in, verified = identity.user(user).email, len(identity.hasher.verified)
    for email, password in ((stand_in, ""), (stand_in, PASSWORD), (f" {stand_in.upper()} ", PASSWORD)):
        with pytest.raises(InvalidCredentials):
            await identity.log_in(email=email, password=password, client=CLIENT)
    with pytest.raises(NotFound):
        await identity.reset_password(email=stand_in, password=PASSWORD)
    assert identity.hasher.verified[verified:] == [None] * 3, "it takes the time that nobody's address takes"
    assert len(identity.lines(user)) == told


async def test_nobody_can_register_what_stands_in_place_of_an_address(identity: Identity) -> None:
    """Else a stranger could keep others from ever leaving."""
    user = a_user()
    user.leave(NOON)
    with pytest.raises(Invalid):
        check_email(user.email)


async def test_only_who_knows_the_password_ends_the_account(identity: Identity) -> None:
    user = await identity.add()
    before = identity.user(user)
    principal = await identity.principal(await identity.enter(user))
    with pytest.raises(WrongPassword):
        await delete(identity)(principal, password="wrong horse 00", client=CLIENT)
    assert identity.user(user) == before
    assert [outcome for outcome, _, _ in identity.history(user)] == [Outcome.WRONG_PASSWORD]


async def test_an_account_that_has_changed_since_it_was_read_is_not_ended(identity: Identity) -> None:
    user = await identity.add()
    principal = await identity.principal(await identity.enter(user))
    end = delete(identity)
    with pytest.raises(Stale):
        await end(principal, password=PASSWORD, client=CLIENT, expected=Expected(frozenset({2})))
    assert identity.user(user).deleted_at is None
    await end(principal, password=PASSWORD, client=CLIENT, expected=Expected(frozenset({1})))
    assert identity.user(user).deleted_at == NOON


async def test_the_last_admin_stays(identity: Identity) -> None:
    """Until there is another who is active."""
    last = await identity.add(a_user(roles=frozenset({"admin", "user"})))
    other = await identity.add(a_user(roles=frozenset({"admin", "user"}), status=UserStatus.DISABLED))
    principal = await identity.principal(await identity.enter(last))
    with pytest.raises(LastAdmin):
        await delete(identity)(principal, password=PASSWORD, client=CLIENT)
    assert identity.user(last).deleted_at is None
    async with identity.changing(other) as stored:
        stored.status = UserStatus.ACTIVE
    await delete(identity)(principal, password=PASSWORD, client=CLIENT)
    assert identity.user(last).deleted_at == NOON
