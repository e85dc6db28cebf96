"""Accounts over HTTP."""

from datetime import timedelta
from typing import Any

import httpx
import pytest
from httpx import AsyncClient

from parlor.core.identity.accounts import ConfirmEmail
from parlor.core.identity.mail_tokens import InvalidMailToken
from parlor.core.identity.model import Client, InvalidCredentials, InvalidGrant, User
from parlor.core.identity.passwords import ConfirmReset
from parlor.core.identity.use_cases import LogIn, LogOut, LogoutScope, Refresh, Register, TokenPair
from parlor.core.shared.ids import UserId, uuid7
from tests.fakes.container import WHEN, FakeContainer

LOGIN = {"email": "ada@example.org", "password": "correct horse"}
HERE = Client(ip="127.0.0.1", user_agent=f"python-httpx/{httpx.__version__}")
PAIR = TokenPair(access_token="a", expires_in=900, refresh_token="r", refresh_expires_in=2_592_000)


def a_user() -> User:
    return User(
        id=UserId(uuid7()),
        email="ada@example.org",
        display_name="Ada",
        password_hash="hash",
        created_at=WHEN,
        updated_at=WHEN + timedelta(seconds=1),
        roles=frozenset({"user", "admin"}),
    )


class Told:
    """Remembers what a command was called with, and answers."""

    def __init__(self, answer: Any = None) -> None:
        self.answer = answer
        self.arguments: tuple[Any, ...] = ()
        self.fields: dict[str, Any] = {}

    async def __call__(self, *arguments: Any, **fields: Any) -> Any:
        self.arguments, self.fields = arguments, fields
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


async def test_me_is_the_user_with_a_tag(fake: FakeContainer, ada: AsyncClient) -> None:
    user = fake.authenticate.principal.user
    answer = await ada.get("/api/v1/users/me")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["etag"] == '"3"'
    assert answer.json() == {
        "id": str(user.id),
        "email": "ada@example.org",
        "email_verified": False,
        "display_name": "Ada",
        "roles": ["user"],
        "status": "active",
        "created_at": "2026-01-01T12:30:00.123456Z",
        "updated_at": "2026-01-01T12:30:00.123456Z",
        "version": 3,
    }


async def test_who_registers_gets_the_user(fake: FakeContainer, client: AsyncClient) -> None:
    told = fake.commands[Register] = Told(a_user())
    answer = await client.post("/api/v1/auth/register", json=LOGIN)
    assert answer.status_code == 201
    assert answer.json()["roles"] == ["admin", "user"]
    assert answer.json()["updated_at"] == "2026-01-01T12:30:01.123456Z"
    assert "hash" not in answer.text
    assert told.fields == {**LOGIN, "display_name": None}


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("password", "x" * 7, "too_short"),
        ("password", "x" * 1025, "too_long"),
        ("password", "line\nbreak", "control_character"),
        ("password", 12345678, "wrong_type"),
        ("password", None, "wrong_type"),
        ("email", "x" * 255, "too_long"),
        ("email", "a\tb@example.org", "control_character"),
        ("email", True, "wrong_type"),
        ("display_name", "", "blank"),
        ("display_name", " \u2003 ", "blank"),
        ("display_name", "x" * 65, "too_long"),
        ("display_name", "a\r\nb", "control_character"),
    ],
)
async def test_a_field_of_a_registration_is_checked(
    client: AsyncClient, field: str, value: Any, code: str
) -> None:
    answer = await client.post("/api/v1/auth/register", json={**LOGIN, field: value})
    assert answer.status_code == 422
    assert [(error["pointer"], error["code"]) for error in answer.json()["errors"]] == [(f"/{field}", code)]


@pytest.mark.parametrize("password", ["x" * 8, "x" * 1024, "\N{GRINNING FACE}" * 24, "pass word"])
async def test_any_password_of_the_right_length_is_taken(
    fake: FakeContainer, client: AsyncClient, password: str
) -> None:
    fake.commands[Register] = Told(a_user())
    answer = await client.post("/api/v1/auth/register", json={**LOGIN, "password": password})
    assert answer.status_code == 201


async def test_who_logs_in_gets_a_pair_of_tokens(fake: FakeContainer, client: AsyncClient) -> None:
    told = fake.commands[LogIn] = Told(PAIR)
    answer = await client.post("/api/v1/auth/login", json=LOGIN, headers={"user-agent": "cli/1"})
    assert answer.status_code == 200
    assert answer.json() == {
        "access_token": "a",
        "token_type": "Bearer",
        "expires_in": 900,
        "refresh_token": "r",
        "refresh_expires_in": 2_592_000,
    }
    assert told.fields["client"] == Client(ip="127.0.0.1", user_agent="cli/1")


@pytest.mark.parametrize(
    ("sent", "stored"), [(b"a\tb\x7fc", "abc"), (b"x" * 300, "x" * 256), (b"caf\xe9", "caf\u00e9"), (b"", "")]
)
async def test_a_user_agent_is_stored_short_and_printable(
    fake: FakeContainer, client: AsyncClient, sent: bytes, stored: str
) -> None:
    told = fake.commands[LogIn] = Told(PAIR)
    await client.post("/api/v1/auth/login", json=LOGIN, headers=[(b"user-agent", sent)])
    assert told.fields["client"].user_agent == stored


async def test_wrong_credentials_are_not_called_a_bad_token(fake: FakeContainer, client: AsyncClient) -> None:
    fake.commands[LogIn] = Told(InvalidCredentials())
    answer = await client.post("/api/v1/auth/login", json=LOGIN)
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_credentials")
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_refresh_token_brings_the_next_pair(fake: FakeContainer, client: AsyncClient) -> None:
    told = fake.commands[Refresh] = Told(PAIR)
    answer = await client.post("/api/v1/auth/refresh", json={"refresh_token": "old"})
    assert answer.status_code == 200
    assert told.fields == {"refresh_token": "old", "client": HERE}


async def test_a_used_up_refresh_token_brings_nothing(fake: FakeContainer, client: AsyncClient) -> None:
    fake.commands[Refresh] = Told(InvalidGrant())
    answer = await client.post("/api/v1/auth/refresh", json={"refresh_token": "old"})
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_grant")


@pytest.mark.parametrize(
    ("path", "name", "command"),
    [
        ("refresh", "refresh_token", Refresh),
        ("password-reset/confirm", "token", ConfirmReset),
        ("email-verification/confirm", "token", ConfirmEmail),
    ],
)
async def test_any_other_token_is_a_wrong_one_however_long(
    fake: FakeContainer, client: AsyncClient, path: str, name: str, command: object
) -> None:
    """An access token of a user with many roles has thousands of letters."""
    told = fake.commands[command] = Told(InvalidMailToken())
    body = {name: "x" * 4000} | ({"new_password": "another horse 43"} if command is ConfirmReset else {})
    answer = await client.post(f"/api/v1/auth/{path}", json=body)
    assert answer.status_code == 401
    assert told.fields[name] == "x" * 4000


@pytest.mark.parametrize("token", ["", 5])
async def test_no_refresh_token_is_of_that_shape(client: AsyncClient, token: Any) -> None:
    assert (await client.post("/api/v1/auth/refresh", json={"refresh_token": token})).status_code == 422


@pytest.mark.parametrize(
    ("query", "scope"),
    [
        ("", LogoutScope.THIS),
        ("?scope=this", LogoutScope.THIS),
        ("?scope=others", LogoutScope.OTHERS),
        ("?scope=all", LogoutScope.ALL),
    ],
)
async def test_logging_out_ends_what_was_asked(
    fake: FakeContainer, ada: AsyncClient, query: str, scope: LogoutScope
) -> None:
    told = fake.commands[LogOut] = Told()
    answer = await ada.post(f"/api/v1/auth/logout{query}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert told.arguments == (fake.authenticate.principal,)
    assert told.fields == {"scope": scope, "client": HERE}


async def test_an_unknown_scope_ends_nothing(ada: AsyncClient) -> None:
    answer = await ada.post("/api/v1/auth/logout?scope=everything")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "query:scope"


async def test_a_stranger_cannot_log_out(client: AsyncClient) -> None:
    assert (await client.post("/api/v1/auth/logout")).status_code == 401
