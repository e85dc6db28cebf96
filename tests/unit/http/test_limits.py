"""Limits at the door of a route: after who calls, before the body; every address for itself."""

import httpx
import pytest

from parlor.adapters.memory.throttle import MemoryThrottle
from parlor.core.identity.attempts import NoteRefusedLogin
from parlor.core.identity.model import InvalidCredentials
from parlor.core.identity.throttling import LOGIN_BY_ADDRESS, REGISTER_BY_ADDRESS
from parlor.core.identity.use_cases import LogIn, Register
from parlor.core.shared.errors import DatabaseAway, TooMany
from parlor.entrypoints.http.app import make_app
from tests.fakes.container import FakeContainer, as_container, settings_for_tests
from tests.unit.http.test_identity_routes import LOGIN, PAIR, Told, a_user

LOG_IN, REGISTER = "/api/v1/auth/login", "/api/v1/auth/register"
PROXY = "10.1.2.3"


class Door:
    """One application whose clients come from where a test says, on a clock that it moves."""

    def __init__(self, trusted: str = "") -> None:
        self.now = 1000.0
        self.fake = FakeContainer(
            settings_for_tests(PARLOR_TRUSTED_PROXIES=trusted),
            throttle=MemoryThrottle(monotonic=lambda: self.now),
            commands={LogIn: Told(InvalidCredentials()), Register: Told(a_user()), NoteRefusedLogin: Told()},
        )
        self.app = make_app(as_container(self.fake))

    async def post(
        self, path: str, *, peer: str = PROXY, content: bytes | None = None, **headers: str
    ) -> httpx.Response:
        transport = httpx.ASGITransport(self.app, client=(peer, 1234))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            if content is not None:
                return await client.post(path, content=content, headers=named)
            return await client.post(path, json=LOGIN, headers=named)

    async def exhaust(self, path: str, tries: int, content: bytes | None = None, **headers: str) -> None:
        statuses = {(await self.post(path, content=content, **headers)).status_code for _ in range(tries)}
        assert 429 not in statuses


@pytest.fixture
def door() -> Door:
    return Door()


async def test_one_address_may_fail_so_often_and_then_is_told_when_to_come_back(door: Door) -> None:
    await door.exhaust(LOG_IN, LOGIN_BY_ADDRESS.tries)
    refused = await door.post(LOG_IN)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "2")
    assert refused.json()["code"] == "too_many_requests"
    assert (await door.post(LOG_IN, peer="10.9.9.9")).status_code == 401
    door.now += 2
    assert (await door.post(LOG_IN)).status_code == 401


async def test_whose_account_a_refused_login_was_meant_for_is_noted(door: Door) -> None:
    """Where the body says so; and whatever becomes of the note, the answer is the same."""
    await door.exhaust(LOG_IN, LOGIN_BY_ADDRESS.tries)
    noted = door.fake.commands[NoteRefusedLogin] = Told()
    for body in (b"", b"{", b'{"email": 1}', b"x" * 2_000_000):
        assert (await door.post(LOG_IN, content=body, content_type="application/json")).status_code == 429
    assert noted.fields == {}
    for answer in (None, TooMany(), DatabaseAway()):
        noted.answer = answer
        assert (await door.post(LOG_IN)).status_code == 429
        assert (noted.fields["email"], noted.fields["client"].ip) == (LOGIN["email"], PROXY)
        noted.fields = {}
    form = b"username=bob%40example.org&password=x"
    refused = await door.post(
        "/api/v1/auth/token", content=form, content_type="application/x-www-form-urlencoded"
    )
    assert (refused.status_code, noted.fields["email"]) == (429, "bob@example.org")


async def test_a_login_that_succeeds_does_not_count(door: Door) -> None:
    door.fake.commands[LogIn] = Told(PAIR)
    await door.exhaust(LOG_IN, 2 * LOGIN_BY_ADDRESS.tries)


async def test_elsewhere_every_request_counts(door: Door) -> None:
    await door.exhaust(REGISTER, REGISTER_BY_ADDRESS.tries)
    assert (await door.post(REGISTER)).status_code == 429


@pytest.mark.parametrize("body", [b"", b"{", b"x" * 2_000_000, b'{"email": 1}'], ids=len)
async def test_the_limit_comes_before_whatever_is_wrong_with_the_body(door: Door, body: bytes) -> None:
    await door.exhaust(REGISTER, REGISTER_BY_ADDRESS.tries, content=body)
    assert (await door.post(REGISTER, content=body)).status_code == 429


async def test_an_unknown_path_and_a_wrong_method_come_before_the_limit(door: Door) -> None:
    await door.exhaust(REGISTER, REGISTER_BY_ADDRESS.tries)
    assert (await door.post(REGISTER + "/more")).status_code == 404
    transport = httpx.ASGITransport(door.app, client=(PROXY, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        assert (await client.get(REGISTER)).status_code == 405


async def test_nobody_escapes_by_changing_what_anybody_can_send(door: Door) -> None:
    for number in range(REGISTER_BY_ADDRESS.tries):
        await door.post(REGISTER, X_Forwarded_For=f"192.0.2.{number}")
    assert (await door.post(REGISTER, X_Forwarded_For="192.0.2.99")).status_code == 429


async def test_behind_a_trusted_proxy_each_client_counts_for_itself() -> None:
    door = Door(trusted="10.0.0.0/8")
    await door.exhaust(REGISTER, REGISTER_BY_ADDRESS.tries, X_Forwarded_For="192.0.2.1")
    assert (await door.post(REGISTER, X_Forwarded_For="192.0.2.1")).status_code == 429
    assert (await door.post(REGISTER, X_Forwarded_For="192.0.2.2")).status_code == 201
    assert (await door.post(REGISTER, X_Forwarded_For="203.0.113.1, 192.0.2.1")).status_code == 429


async def test_all_addresses_of_one_ipv6_network_are_one() -> None:
    door = Door(trusted="10.0.0.0/8")
    for number in range(REGISTER_BY_ADDRESS.tries):
        await door.post(REGISTER, X_Forwarded_For=f"2001:db8:0:1::{number:x}")
    assert (await door.post(REGISTER, X_Forwarded_For="2001:db8:0:1:ffff::1")).status_code == 429
    assert (await door.post(REGISTER, X_Forwarded_For="2001:db8:0:2::1")).status_code == 201
