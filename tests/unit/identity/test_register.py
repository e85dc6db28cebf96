"""Register: who may have an account under which address."""

import asyncio

import pytest

from parlor.core.identity.model import EmailTaken, UserStatus, display_name_from, email_key
from parlor.core.shared.errors import Invalid
from tests.builders import PASSWORD, a_user
from tests.fakes.clock import NOON
from tests.unit.identity.conftest import Identity


async def test_a_new_user_is_stored_and_told_of(identity: Identity) -> None:
    user = await identity.register(email="ada@example.org", password=PASSWORD, display_name="Ada")
    stored = identity.user(user)
    assert stored == user
    assert (stored.email, stored.display_name, stored.roles) == (
        "ada@example.org",
        "Ada",
        frozenset({"user"}),
    )
    assert (stored.status, stored.email_verified, stored.epoch) == (UserStatus.ACTIVE, False, 0)
    assert stored.created_at == stored.updated_at == NOON
    assert identity.facts() == [("identity.user_registered", user.id)]


async def test_only_the_hash_of_a_password_is_stored(identity: Identity) -> None:
    user = await identity.register(email="ada@example.org", password=PASSWORD, display_name=None)
    assert identity.user(user).password_hash == await identity.hasher.hash(PASSWORD)


async def test_a_name_is_made_of_the_address(identity: Identity) -> None:
    user = await identity.register(email="ada@example.org", password=PASSWORD, display_name=None)
    assert user.display_name == "ada"
    assert display_name_from("x" * 64 + "@example.org") == "x" * 64


async def test_an_admin_can_be_made_with_other_roles(identity: Identity) -> None:
    roles = frozenset({"user", "admin"})
    user = await identity.register(email="ada@example.org", password=PASSWORD, display_name=None, roles=roles)
    assert identity.user(user).roles == roles


async def test_an_address_is_kept_as_typed_but_for_its_ends(identity: Identity) -> None:
    user = await identity.register(email=" Ada@Example.org ", password=PASSWORD, display_name=None)
    assert user.email == "Ada@Example.org"


@pytest.mark.parametrize(
    "twin", ["ADA@example.ORG", "\uff41da@example.org", "ada@example.org", " ada@example.org"]
)
async def test_a_twin_in_case_or_form_is_taken(identity: Identity, twin: str) -> None:
    await identity.register(email="ada@example.org", password=PASSWORD, display_name=None)
    with pytest.raises(EmailTaken):
        await identity.register(email=twin, password=PASSWORD, display_name=None)
    assert len(identity.database.store.identity.users) == 1


async def test_a_composed_and_a_decomposed_address_are_one(identity: Identity) -> None:
    await identity.register(email="zoë@example.org", password=PASSWORD, display_name=None)
    with pytest.raises(EmailTaken):
        await identity.register(email="zoe\u0308@example.org", password=PASSWORD, display_name=None)


async def test_a_taken_address_costs_no_hash(identity: Identity) -> None:
    """It is looked up before the slow part; what slips through between the two is caught by the store."""
    await identity.add(a_user(email="ada@example.org"))
    identity.hasher = None  # type: ignore[assignment]  # any use of it would fail
    with pytest.raises(EmailTaken):
        await identity.register(email="ada@example.org", password=PASSWORD, display_name=None)


async def test_registrations_of_one_address_at_once_make_one_user(identity: Identity) -> None:
    async def register() -> object:
        return await identity.register(email="ada@example.org", password=PASSWORD, display_name=None)

    answers = await asyncio.gather(*(register() for _ in range(5)), return_exceptions=True)
    assert sum(isinstance(answer, EmailTaken) for answer in answers) == 4
    assert len(identity.facts()) == 1


@pytest.mark.parametrize(
    "email",
    [
        "",
        "  ",
        "ada",
        "@example.org",
        "ada@",
        "a@b@c",
        "a b@example.org",
        "a@exa mple.org",
        "<a@example.org>",
        'a"@example.org',
        "a,b@example.org",
        "x" * 65 + "@example.org",
        "a@" + "x" * 253,
        "a@\u2028.org",
    ],
)
async def test_what_is_no_address_is_refused(identity: Identity, email: str) -> None:
    with pytest.raises(Invalid) as refused:
        await identity.register(email=email, password=PASSWORD, display_name=None)
    assert [(flaw.pointer, flaw.code) for flaw in refused.value.flaws] == [("/email", "invalid_email")]


@pytest.mark.parametrize("email", ["a@b", "zoë@exämple.org", "a+b@example.org", "x" * 64 + "@example.org"])
async def test_unusual_addresses_are_taken(identity: Identity, email: str) -> None:
    assert (await identity.register(email=email, password=PASSWORD, display_name="x")).email == email


async def test_a_common_password_is_refused(identity: Identity) -> None:
    with pytest.raises(Invalid) as refused:
        await identity.register(email="ada@example.org", password="password1", display_name=None)
    assert [(flaw.pointer, flaw.code) for flaw in refused.value.flaws] == [
        ("/password", "password_too_common")
    ]
    assert not identity.database.store.identity.users


async def test_a_password_typed_on_another_keyboard_is_the_same(identity: Identity) -> None:
    """Composed and decomposed letters are one, at both doors."""
    user = await identity.register(email="ada@example.org", password="cafe\u0301 noir", display_name=None)
    assert identity.user(user).password_hash == "v2:caf\u00e9 noir"


def test_the_key_of_a_key_is_itself() -> None:
    """For every letter that there is: folding twice is folding once."""
    letters = (chr(code) for code in range(0x30000) if not 0xD800 <= code < 0xE000)
    assert [letter for letter in letters if email_key(email_key(letter)) != email_key(letter)] == []
