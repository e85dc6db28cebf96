"""One's own account on the wire: shapes of bodies, tags, and the answers that say the same to all."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from httpx import AsyncClient

from parlor.core.identity.accounts import AskForVerification, ChangeProfile, ConfirmEmail, RegisterUnseen
from parlor.core.identity.deletion import DeleteAccount
from parlor.core.identity.export import AccountExport
from parlor.core.identity.mail_tokens import InvalidMailToken
from parlor.core.identity.passwords import AskForReset, ChangePassword, ConfirmReset, WrongPassword
from parlor.core.shared.errors import DatabaseAway, Stale
from parlor.core.shared.ids import UserId
from parlor.core.shared.preconditions import Expected
from tests.builders import a_user
from tests.fakes.container import FakeContainer, a_client, settings_for_tests
from tests.unit.http.test_identity_routes import Told

BASE = "/api/v1"
PASSWORDS = {"current_password": "correct horse 42", "new_password": "another horse 43"}
CONFIRMED = {"token": "t", "new_password": "another horse 43"}


async def test_a_profile_is_changed_under_the_tag_that_was_read(
    fake: FakeContainer, ada: AsyncClient
) -> None:
    told = fake.commands[ChangeProfile] = Told(a_user(display_name="Countess", version=4))
    answer = await ada.patch(
        f"{BASE}/users/me", json={"display_name": "Countess"}, headers={"If-Match": '"3"'}
    )
    assert (answer.status_code, answer.headers["etag"]) == (200, '"4"')
    assert answer.json()["display_name"] == "Countess"
    assert told.fields == {"display_name": "Countess", "expected": Expected(frozenset({3}))}


async def test_what_is_not_sent_stays(fake: FakeContainer, ada: AsyncClient) -> None:
    told = fake.commands[ChangeProfile] = Told(a_user())
    assert (await ada.patch(f"{BASE}/users/me", json={})).status_code == 200
    assert told.fields["display_name"] is None


async def test_an_account_is_deleted_under_the_tag_that_was_read(
    fake: FakeContainer, ada: AsyncClient
) -> None:
    told = fake.commands[DeleteAccount] = Told()
    for tag, status in {'"3"': 204, "*": 204, "3": 422}.items():
        answer = await ada.request(
            "DELETE", f"{BASE}/users/me", json={"password": "x"}, headers={"If-Match": tag}
        )
        assert answer.status_code == status
        if tag == '"3"':
            assert told.fields["expected"] == Expected(frozenset({3}))
    assert answer.json()["errors"][0]["pointer"] == "header:If-Match"


async def test_a_stale_tag_is_412(fake: FakeContainer, ada: AsyncClient) -> None:
    fake.commands[ChangeProfile] = Told(Stale())
    answer = await ada.patch(f"{BASE}/users/me", json={}, headers={"If-Match": '"1"'})
    assert (answer.status_code, answer.json()["code"]) == (412, "version_mismatch")


@pytest.mark.parametrize(
    ("route", "body", "pointer", "code"),
    [
        ("PATCH /users/me", {"display_name": None}, "/display_name", "wrong_type"),
        ("PATCH /users/me", {"display_name": " "}, "/display_name", "blank"),
        ("PATCH /users/me", {"display_name": "a\nb"}, "/display_name", "control_character"),
        ("PATCH /users/me", {"email": "a@example.org"}, "/email", "unknown_field"),
        ("DELETE /users/me", {}, "/password", "required"),
        ("DELETE /users/me", {"password": ""}, "/password", "too_short"),
        ("POST /users/me/password", PASSWORDS | {"new_password": "short"}, "/new_password", "too_short"),
        ("POST /users/me/password", PASSWORDS | {"new_password": "x" * 1025}, "/new_password", "too_long"),
        ("POST /auth/password-reset", {"email": "a\r\nBcc: b@c"}, "/email", "control_character"),
        ("POST /auth/password-reset", {}, "/email", "required"),
        ("POST /auth/password-reset/confirm", CONFIRMED | {"token": 1}, "/token", "wrong_type"),
        ("POST /auth/email-verification/confirm", {"token": ""}, "/token", "too_short"),
    ],
)
async def test_a_body_is_checked(
    ada: AsyncClient, route: str, body: dict[str, Any], pointer: str, code: str
) -> None:
    method, _, path = route.partition(" ")
    answer = await ada.request(method, f"{BASE}{path}", json=body)
    assert answer.status_code == 422
    assert [(error["pointer"], error["code"]) for error in answer.json()["errors"]] == [(pointer, code)]


@pytest.mark.parametrize(
    ("sent", "detail"),
    [
        ("short", "This needs at least 8 characters."),
        ("x" * 1025, "This may have at most 1024 characters."),
    ],
    ids=["short", "long"],
)
async def test_a_text_has_characters(ada: AsyncClient, sent: str, detail: str) -> None:
    answer = await ada.post(f"{BASE}/users/me/password", json=PASSWORDS | {"new_password": sent})
    assert [error["detail"] for error in answer.json()["errors"]] == [detail]


async def test_a_wrong_password_is_403_and_asks_for_no_new_token(
    fake: FakeContainer, ada: AsyncClient
) -> None:
    fake.commands[ChangePassword] = fake.commands[DeleteAccount] = Told(WrongPassword())
    for answer in (
        await ada.post(f"{BASE}/users/me/password", json=PASSWORDS),
        await ada.request("DELETE", f"{BASE}/users/me", json={"password": "wrong"}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "wrong_password")
        assert "www-authenticate" not in answer.headers


async def test_what_is_done_has_no_body(fake: FakeContainer, ada: AsyncClient, client: AsyncClient) -> None:
    for command in (ChangePassword, DeleteAccount, ConfirmReset, ConfirmEmail):
        fake.commands[command] = Told()
    answers = [
        await ada.post(f"{BASE}/users/me/password", json=PASSWORDS),
        await ada.request("DELETE", f"{BASE}/users/me", json={"password": "x"}),
        await client.post(f"{BASE}/auth/password-reset/confirm", json=CONFIRMED),
        await client.post(f"{BASE}/auth/email-verification/confirm", json={"token": "t"}),
    ]
    assert [(answer.status_code, answer.content) for answer in answers] == [(204, b"")] * 4


async def test_what_follows_by_mail_is_202(
    fake: FakeContainer, ada: AsyncClient, client: AsyncClient
) -> None:
    fake.commands[AskForReset] = fake.commands[AskForVerification] = Told()
    answers = [
        await client.post(f"{BASE}/auth/password-reset", json={"email": "a@example.org"}),
        await ada.post(f"{BASE}/auth/email-verification"),
    ]
    assert [(answer.status_code, answer.json()) for answer in answers] == [(202, {"status": "accepted"})] * 2


async def test_a_bad_token_from_a_mail_is_401(fake: FakeContainer, client: AsyncClient) -> None:
    fake.commands[ConfirmReset] = Told(InvalidMailToken())
    answer = await client.post(f"{BASE}/auth/password-reset/confirm", json=CONFIRMED)
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_mail_token")


async def test_where_accounts_are_hidden_registering_is_202() -> None:
    """And the document says so."""
    fake = FakeContainer(settings_for_tests(PARLOR_HIDE_ACCOUNTS="true"))
    told = fake.commands[RegisterUnseen] = Told()
    async with a_client(fake) as client:
        account = {"email": "a@example.org", "password": "correct horse 42"}
        answer = await client.post(f"{BASE}/auth/register", json=account)
        document = (await client.get("/openapi.json")).json()
    assert (answer.status_code, answer.json()) == (202, {"status": "accepted"})
    assert told.fields == account | {"display_name": None}
    said = document["paths"][f"{BASE}/auth/register"]["post"]["responses"]
    assert "202" in said
    assert not {"201", "409"} & said.keys()


class Sectioned:
    """An export section; its second piece may be a failure."""

    def __init__(self, name: str, *pieces: bytes | Exception) -> None:
        self.name = name
        self._pieces = pieces

    async def __call__(self, user_id: UserId) -> AsyncIterator[bytes]:
        del user_id
        for piece in self._pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece


async def test_an_export_is_one_object_of_its_sections(fake: FakeContainer) -> None:
    fake.ports[AccountExport] = AccountExport(
        [Sectioned("profile", b"{}"), Sectioned("tasks", b"[1", b",2", b"]")]
    )
    async with a_client(fake, authorization="Bearer good-token") as ada:
        answer = await ada.get(f"{BASE}/users/me/export")
    assert answer.json() == {"profile": {}, "tasks": [1, 2]}
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-disposition"] == 'attachment; filename="parlor-export.json"'


async def test_a_database_that_is_away_is_a_problem_and_no_broken_file(fake: FakeContainer) -> None:
    fake.ports[AccountExport] = AccountExport([Sectioned("profile", DatabaseAway())])
    async with a_client(fake, authorization="Bearer good-token") as ada:
        answer = await ada.get(f"{BASE}/users/me/export")
    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
