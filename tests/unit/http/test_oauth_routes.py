"""What OAuth's tools and other services ask over HTTP."""

from typing import Any

import httpx
import pytest
from httpx import AsyncClient

from parlor.core.identity.introspection import Active, IntrospectToken, RevokeToken, TokenType
from parlor.core.identity.model import InvalidCredentials
from parlor.core.identity.ports import PublicKeys
from parlor.core.identity.use_cases import LogIn
from parlor.core.shared.actor import PermissionMissing
from parlor.core.shared.ids import SessionId, UserId, uuid7
from parlor.entrypoints.http.app import make_app
from tests.fakes.container import WITH_KEY, FakeContainer, a_client, as_container
from tests.unit.http.test_identity_routes import PAIR, Told

INTROSPECT = "/api/v1/auth/introspect"
REVOKE = "/api/v1/auth/revoke"
TOKEN = "/api/v1/auth/token"
FORM = {"content-type": "application/x-www-form-urlencoded"}
ACTIVE = Active(UserId(uuid7()), SessionId(uuid7()), ("user",), ["tasks:create"], 1_800_000_000)


@pytest.fixture
async def service(fake: FakeContainer) -> Any:
    """Send a key that may introspect."""
    fake.knows_key("tokens:introspect")
    async with a_client(fake, **WITH_KEY) as client:
        yield client


# The password form


async def test_a_form_opens_a_session(fake: FakeContainer, client: AsyncClient) -> None:
    log_in = fake.commands[LogIn] = Told(PAIR)
    form = {"grant_type": "password", "username": "ada@example.org", "password": "a b+c", "scope": ""}
    answer = await client.post(TOKEN, data=form | {"client_id": "x", "client_secret": "y", "audience": "z"})
    assert answer.status_code == 200
    assert answer.json() == {
        "access_token": "a",
        "token_type": "Bearer",
        "expires_in": 900,
        "refresh_token": "r",
        "refresh_expires_in": 2_592_000,
    }
    assert (log_in.fields["email"], log_in.fields["password"]) == ("ada@example.org", "a b+c")
    assert answer.headers["cache-control"] == "no-store"


async def test_swagger_sends_an_empty_client_beside_it(fake: FakeContainer, client: AsyncClient) -> None:
    """As `Authorization: Basic`, which says nothing about the person."""
    fake.commands[LogIn] = Told(PAIR)
    headers = {"authorization": "Basic Og==", **FORM, "x-requested-with": "XMLHttpRequest"}
    answer = await client.post(
        TOKEN, content=b"grant_type=password&username=a%40b.c&password=x", headers=headers
    )
    assert answer.status_code == 200


async def test_wrong_credentials_are_a_problem_as_at_login(fake: FakeContainer, client: AsyncClient) -> None:
    fake.commands[LogIn] = Told(InvalidCredentials())
    answer = await client.post(TOKEN, data={"username": "a@b.c", "password": "x"})
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_credentials")
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"{}", {"content-type": "application/json"}, 415),
        (b"a=b", {}, 415),
        (b"username=a&password=b", FORM | {"content-encoding": "gzip"}, 415),
        (b"username=a&password=b", {"content-type": f"{FORM['content-type']}; charset=latin-1"}, 415),
        (b"--x--", {"content-type": "multipart/form-data; boundary=x"}, 415),
        (b"", FORM, 400),
        (b"username=a&username=b&password=c", FORM, 400),
        (b"username=%ff&password=c", FORM, 400),
        (b"username=a", FORM, 422),
        (b"username=a&password=", FORM, 422),
        (b"username=a&password=%00", FORM, 422),
        (b"username=a&password=b&grant_type=client_credentials", FORM, 422),
        (b"username=" + b"a" * 5000, FORM, 413),
    ],
    ids=range(13),
)
async def test_what_is_no_password_form_is_refused(
    client: AsyncClient, content: bytes, headers: dict[str, str], status: int
) -> None:
    answer = await client.post(TOKEN, content=content, headers=headers)
    assert answer.status_code == status
    assert answer.json()["code"]


async def test_elsewhere_a_form_is_refused(client: AsyncClient) -> None:
    answer = await client.post("/api/v1/auth/login", data={"email": "a@b.c", "password": "x"})
    assert answer.status_code == 415


# Introspection


@pytest.mark.parametrize("how", ["data", "json"])
async def test_a_service_learns_whom_a_token_stands_for(
    fake: FakeContainer, service: AsyncClient, how: str
) -> None:
    introspect = fake.commands[IntrospectToken] = Told(ACTIVE)
    answer = await service.post(INTROSPECT, **{how: {"token": "a.b.c"}})  # type: ignore[arg-type]  # by name
    assert answer.status_code == 200
    assert answer.json() == {
        "active": True,
        "sub": str(ACTIVE.sub),
        "sid": str(ACTIVE.sid),
        "roles": ["user"],
        "permissions": ["tasks:create"],
        "exp": 1_800_000_000,
    }
    actor, token, kind = introspect.arguments
    assert (actor.permissions, token, kind) == ({"tokens:introspect"}, "a.b.c", TokenType.ACCESS)


async def test_what_does_not_count_is_not_active_and_no_more_is_said(
    fake: FakeContainer, service: AsyncClient
) -> None:
    fake.commands[IntrospectToken] = Told(None)
    answer = await service.post(INTROSPECT, json={"token": "x"})
    assert (answer.status_code, answer.content) == (200, b'{"active":false}')


@pytest.mark.parametrize(
    ("hint", "kind"),
    [
        ("access_token", TokenType.ACCESS),
        ("refresh_token", TokenType.REFRESH),
        ("api_key", TokenType.API_KEY),
        ("", TokenType.ACCESS),
        ("id_token", TokenType.ACCESS),
    ],
)
async def test_a_hint_says_what_it_should_be(
    fake: FakeContainer, service: AsyncClient, hint: str, kind: TokenType
) -> None:
    introspect = fake.commands[IntrospectToken] = Told(ACTIVE)
    await service.post(INTROSPECT, data={"token": "x", "token_type_hint": hint})
    assert introspect.arguments[2] is kind


async def test_of_a_key_its_own_id_is_told_too(fake: FakeContainer, service: AsyncClient) -> None:
    key_id = uuid7()
    fake.commands[IntrospectToken] = Told(Active(None, None, (), ["films:watch"], None, client_id=key_id))
    answer = await service.post(INTROSPECT, data={"token": "x", "token_type_hint": "api_key"})
    assert (answer.json()["client_id"], answer.json()["sub"]) == (str(key_id), None)


@pytest.mark.parametrize("path", [INTROSPECT, REVOKE])
@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"json": {}}, 422),
        ({"json": {"token": ""}}, 422),
        ({"json": {"token": 1}}, 422),
        ({"json": {"token": "x", "foreign": 1}}, 422),
        ({"json": {"token": "x\x00"}}, 422),
        ({"data": {"foreign": "x"}}, 422),
        ({"data": {"token": "x", "foreign": "x"}}, 200),
        ({"content": b"token=a&token=b", "headers": FORM}, 400),
        ({"content": b"{", "headers": {"content-type": "application/json"}}, 400),
        ({"content": b'{"token":"a","token":"b"}', "headers": {"content-type": "application/json"}}, 400),
        ({"content": b""}, 400),
        ({"content": b"x", "headers": {"content-type": "text/plain"}}, 415),
    ],
    ids=range(12),
)
async def test_what_asks_for_nothing_is_refused(
    fake: FakeContainer, service: AsyncClient, path: str, sent: dict[str, Any], status: int
) -> None:
    fake.commands |= {IntrospectToken: Told(None), RevokeToken: Told()}
    assert (await service.post(path, **sent)).status_code == status


@pytest.mark.parametrize("path", [INTROSPECT, REVOKE])
async def test_others_may_not_ask(fake: FakeContainer, client: AsyncClient, path: str) -> None:
    assert (await client.post(path, json={"token": "x"})).status_code == 401
    fake.commands |= {IntrospectToken: Told(PermissionMissing()), RevokeToken: Told(PermissionMissing())}
    fake.knows_key("tasks:create")
    assert (await client.post(path, json={"token": "x"}, headers=WITH_KEY)).status_code == 403


@pytest.mark.parametrize("token", ["a.b.c", "nonsense"])
async def test_revoking_anything_is_answered_alike(
    fake: FakeContainer, service: AsyncClient, token: str
) -> None:
    revoke = fake.commands[RevokeToken] = Told()
    answer = await service.post(REVOKE, data={"token": token, "token_type_hint": "access_token"})
    assert answer.status_code == 200
    assert revoke.arguments[1] == token


# The published keys


async def test_public_keys_are_published_and_may_be_kept_for_minutes(fake: FakeContainer) -> None:
    key = {"kty": "OKP", "crv": "Ed25519", "x": "x", "kid": "1", "alg": "EdDSA", "use": "sig"}
    fake.ports[PublicKeys] = PublicKeys([key])
    async with a_client(fake) as client:
        answer: httpx.Response = await client.get("/.well-known/jwks.json")
    assert (answer.status_code, answer.json()) == (200, {"keys": [key]})
    assert answer.headers["cache-control"] == "public, max-age=300"


async def test_without_private_keys_there_are_none(client: AsyncClient) -> None:
    answer = await client.get("/.well-known/jwks.json")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_the_document_names_the_types_of_body(fake: FakeContainer) -> None:
    paths = make_app(as_container(fake)).openapi()["paths"]
    told = {path: set(paths[path]["post"]["requestBody"]["content"]) for path in (TOKEN, INTROSPECT, REVOKE)}
    both = {"application/json", FORM["content-type"]}
    assert told == {TOKEN: {FORM["content-type"]}, INTROSPECT: both, REVOKE: both}
    login = paths["/api/v1/auth/login"]["post"]["requestBody"]["content"]
    assert set(login) == {"application/json"}
