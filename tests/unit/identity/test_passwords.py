"""Passwords: changed in a session, forgotten and reset by mail."""

from datetime import timedelta

import pytest

from parlor.core.identity.history import Method, Outcome
from parlor.core.identity.mail_tokens import LIFE, InvalidMailToken, Purpose
from parlor.core.identity.model import InvalidToken, UserStatus
from parlor.core.identity.passwords import AskForReset, WrongPassword
from parlor.core.identity.use_cases import Principal, TokenPair
from parlor.core.shared.errors import Contended, Invalid, TooMany
from tests.builders import PASSWORD
from tests.unit.identity.conftest import CLIENT, Identity

NEW = "a new horse 44"


async def change(
    identity: Identity, principal: Principal, *, current: str = PASSWORD, new: str = NEW
) -> None:
    await identity.change_password(principal, current_password=current, new_password=new, client=CLIENT)


async def reset(identity: Identity, token: str, new: str = NEW) -> None:
    await identity.confirm_reset(token=token, new_password=new, client=CLIENT)


async def refreshes(identity: Identity, pair: TokenPair) -> bool:
    await identity.refresh(refresh_token=pair.refresh_token, client=CLIENT)
    return True


async def test_a_change_keeps_the_calling_session_and_ends_the_rest(identity: Identity) -> None:
    user = await identity.add()
    mine, other = await identity.enter(user), await identity.enter(user)
    principal = await identity.principal(mine)
    await change(identity, principal)
    assert [one.id for one in identity.live_sessions(user)] == [principal.session_id]
    assert identity.user(user).password_hash == f"v2:{NEW}"
    for pair in (mine, other):
        with pytest.raises(InvalidToken):
            await identity.principal(pair)
    assert await refreshes(identity, mine)
    assert identity.history(user) == [(Outcome.PASSWORD_CHANGED, Method.SESSION, principal.session_id)]


async def test_who_does_not_know_the_password_changes_nothing_and_is_noted(identity: Identity) -> None:
    user = await identity.add()
    principal = await identity.principal(await identity.enter(user))
    with pytest.raises(WrongPassword):
        await change(identity, principal, current="wrong horse 00")
    assert identity.user(user).password_hash == f"v2:{PASSWORD}"
    assert identity.history(user) == [(Outcome.WRONG_PASSWORD, Method.SESSION, principal.session_id)]


async def test_a_stolen_session_is_no_way_to_try_passwords(identity: Identity) -> None:
    """Right ones do not count: their owner may change as often as they like."""
    user = await identity.add()
    principal = await identity.principal(await identity.enter(user))
    for _ in range(30):
        await change(identity, principal, new=PASSWORD)
    with pytest.raises(TooMany):
        await guess(identity, principal, times=30)


async def test_guesses_in_a_session_that_are_throttled_stand_in_the_history(identity: Identity) -> None:
    """Once a minute."""
    user = await identity.add()
    principal = await identity.principal(await identity.enter(user))
    await guess(identity, principal, times=10)
    for _ in range(5):
        with pytest.raises(TooMany):
            await guess(identity, principal, times=1)
    told = [(Outcome.WRONG_PASSWORD, Method.SESSION, principal.session_id)] * 10
    assert identity.history(user) == [*told, (Outcome.THROTTLED, Method.SESSION, principal.session_id)]


async def guess(identity: Identity, principal: Principal, *, times: int) -> None:
    for _ in range(times):
        with pytest.raises(WrongPassword):
            await change(identity, principal, current="wrong horse 00")


async def test_a_common_password_is_refused_before_anything_is_hashed(identity: Identity) -> None:
    user = await identity.add()
    principal = await identity.principal(await identity.enter(user))
    token = await identity.mailed(user, Purpose.PASSWORD_RESET)
    identity.hasher.verified.clear()
    for refused in (change(identity, principal, new="password1"), reset(identity, token, "password1")):
        with pytest.raises(Invalid) as error:
            await refused
        assert [(flaw.pointer, flaw.code) for flaw in error.value.flaws] == [
            ("/new_password", "password_too_common")
        ]
    assert identity.hasher.verified == []
    await reset(identity, token)


async def test_a_password_that_changes_meanwhile_is_asked_for_again(identity: Identity) -> None:
    user = await identity.add()
    principal = await identity.principal(await identity.enter(user))

    async def meanwhile() -> None:
        async with identity.changing(user) as stored:
            stored.password_hash = "v2:other"

    identity.hasher.meanwhile = meanwhile
    with pytest.raises(Contended):
        await change(identity, principal)
    with pytest.raises(WrongPassword):
        await change(identity, principal)


async def test_a_change_kills_the_token_that_was_mailed_before(identity: Identity) -> None:
    user = await identity.add()
    token = await identity.mailed(user, Purpose.PASSWORD_RESET)
    verification = await identity.mailed(user, Purpose.EMAIL_VERIFICATION, "another")
    await change(identity, await identity.principal(await identity.enter(user)))
    with pytest.raises(InvalidMailToken):
        await reset(identity, token)
    assert len(identity.database.store.identity.mail_tokens) == 1, verification


async def test_so_does_a_new_password_from_the_command_line(identity: Identity) -> None:
    user = await identity.add()
    token = await identity.mailed(user, Purpose.PASSWORD_RESET)
    await identity.reset_password(email=user.email, password=NEW)
    with pytest.raises(InvalidMailToken):
        await reset(identity, token)


async def test_a_reset_works_once_and_ends_every_session(identity: Identity) -> None:
    user = await identity.add()
    pair = await identity.enter(user)
    token = await identity.mailed(user, Purpose.PASSWORD_RESET)
    await reset(identity, token)
    assert identity.user(user).password_hash == f"v2:{NEW}"
    assert identity.live_sessions(user) == []
    with pytest.raises(InvalidToken):
        await identity.principal(pair)
    with pytest.raises(InvalidMailToken):
        await reset(identity, token)
    assert identity.history(user) == [(Outcome.PASSWORD_CHANGED, Method.PASSWORD, None)]


async def test_a_token_ends_after_an_hour(identity: Identity) -> None:
    user = await identity.add()
    token = await identity.mailed(user, Purpose.PASSWORD_RESET)
    identity.clock.now += LIFE
    with pytest.raises(InvalidMailToken):
        await reset(identity, token)
    identity.clock.now -= timedelta(microseconds=1)
    await reset(identity, token)


@pytest.mark.parametrize("what", ["purpose", "address", "status", "unknown"])
async def test_a_token_of_something_else_is_refused(identity: Identity, what: str) -> None:
    user = await identity.add()
    purpose = Purpose.EMAIL_VERIFICATION if what == "purpose" else Purpose.PASSWORD_RESET
    token = await identity.mailed(user, purpose)
    async with identity.changing(user) as stored:
        if what == "address":
            stored.email = "another@example.org"
        elif what == "status":
            stored.status = UserStatus.DISABLED
    with pytest.raises(InvalidMailToken):
        await reset(identity, token + ("x" if what == "unknown" else ""))
    assert identity.user(user).password_hash == f"v2:{PASSWORD}"


async def test_an_unknown_token_costs_no_hash(identity: Identity) -> None:
    identity.hasher = None  # type: ignore[assignment]  # any use of it would fail
    with pytest.raises(InvalidMailToken):
        await reset(identity, "unknown")


async def test_asking_for_a_reset_looks_nobody_up(identity: Identity) -> None:
    """Known or not: the same one order, and no user is read."""
    user = await identity.add()
    ask = AskForReset(identity.database.work, identity.throttle)
    for address in (user.email, "nobody@example.org"):
        await ask(email=f" {address} ")
    assert identity.mail_orders() == [
        {"occasion": "password_reset", "email": address} for address in (user.email, "nobody@example.org")
    ]


async def test_what_is_no_address_is_refused(identity: Identity) -> None:
    with pytest.raises(Invalid):
        await AskForReset(identity.database.work, identity.throttle)(email="nobody")
    assert identity.mail_orders() == []


async def test_an_address_is_asked_for_five_times_an_hour_known_or_not(identity: Identity) -> None:
    """However it is written."""
    user = await identity.add()
    ask = AskForReset(identity.database.work, identity.throttle)
    for address in (user.email, "nobody@example.org"):
        for _ in range(5):
            await ask(email=address)
        with pytest.raises(TooMany):
            await ask(email=address.upper())
