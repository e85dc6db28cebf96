"""Who may come in, and what the others are told."""

import httpx
import pytest
from httpx import AsyncClient

from tests.fakes.container import TOKEN, FakeContainer

ME = "/api/v1/users/me"


async def test_without_a_credential_one_is_asked_for_it(client: AsyncClient) -> None:
    answer = await client.get(ME)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "credential",
    ["Bearer bad", "Bearer", "Bearer ", "Basic YTpi", TOKEN, "", "Bearer \xe9", f"Bearer {TOKEN} {TOKEN}"],
)
async def test_a_bad_credential_is_an_invalid_token(client: AsyncClient, credential: str) -> None:
    answer = await client.get(ME, headers=[(b"authorization", credential.encode("latin-1"))])
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_token")
    assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
async def test_the_scheme_is_known_in_any_case(client: AsyncClient, scheme: str) -> None:
    answer = await client.get(ME, headers={"authorization": f"{scheme} {TOKEN}"})
    assert answer.status_code == 200


async def test_two_credentials_are_ambiguous(client: AsyncClient) -> None:
    answer = await client.get(ME, headers={"x-api-key": "k", "authorization": f"Bearer {TOKEN}"})
    assert (answer.status_code, answer.json()["code"]) == (401, "ambiguous_credentials")


@pytest.mark.parametrize(
    "route",
    [
        "POST /api/v1/auth/register",
        "POST /api/v1/auth/login",
        "POST /api/v1/auth/token",
        "POST /api/v1/auth/refresh",
        "POST /api/v1/auth/password-reset",
        "POST /api/v1/auth/password-reset/confirm",
        "POST /api/v1/auth/email-verification/confirm",
        "GET /.well-known/jwks.json",
    ],
)
async def test_two_credentials_are_ambiguous_where_none_is_needed_too(
    client: AsyncClient, route: str
) -> None:
    """Before the body is looked at; one of them, good or bad, is nobody's business there."""
    method, path = route.split()
    both = {"x-api-key": "k", "authorization": "Bearer bad"}
    answer = await client.request(method, path, headers=both, content=b"{")
    assert (answer.status_code, answer.json()["code"]) == (401, "ambiguous_credentials")
    one = await client.request(method, path, headers={"authorization": "Bearer bad"}, content=b"{")
    assert one.status_code in (404, 415)
    document = (await client.get("/openapi.json")).json()
    said = document["paths"][path][method.lower()]["responses"]["401"]["description"]
    assert "`ambiguous_credentials`" in said


async def test_two_tokens_are_ambiguous(client: AsyncClient) -> None:
    twice = [("authorization", f"Bearer {TOKEN}"), ("authorization", f"Bearer {TOKEN}")]
    answer = await client.get(ME, headers=twice)
    assert (answer.status_code, answer.json()["code"]) == (401, "ambiguous_credentials")


@pytest.mark.parametrize("name", ["access_token", "token", "api_key", "ticket"])
async def test_a_token_in_the_address_is_not_looked_at(
    fake: FakeContainer, client: AsyncClient, name: str
) -> None:
    answer = await client.get(ME, params={name: TOKEN})
    assert answer.status_code == 401
    assert fake.authenticate.asked == []


async def test_the_body_of_a_stranger_is_not_read(fake: FakeContainer, client: AsyncClient) -> None:
    read = []

    async def body() -> httpx.AsyncByteStream:  # type: ignore[misc]  # an async generator
        read.append(1)
        yield b"{}"

    answer = await client.post("/api/v1/tasks", content=body())
    assert answer.status_code == 401
    assert read == []
