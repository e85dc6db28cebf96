"""Every route of the OpenAPI document, asked by everybody: who is let in, and what the others are told."""

import re
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
import pytest_asyncio

from parlor.adapters.sql.tables import metadata
from parlor.core.identity.roles import OURS
from tests.chat_house import House, a_house
from tests.e2e.authorization import BODIES, FORMS, NAMED, TABLE, Answer, Line
from tests.e2e.stage import BASE, Cast, Stage, Things, a_cast, a_stage, filled, names_in, people_of
from tests.unit.security.test_signing import pem

pytestmark = pytest.mark.asyncio(loop_scope="module")

PLACE = re.compile(r"{\w+}")
NO_BASE = re.compile(r"/(healthz|readyz|metrics|\.well-known)")
KEYS = frozenset({"key", "poor key"})
ANY_KEY, NO_KEY = "*", "-"
STATE = " union all ".join(
    f"""select '{table}' as name, count(*) as number,
               coalesce(sum(hashtextextended((to_jsonb(t) - 'last_used_at')::text, 0)), 0) as hash from {table} t"""
    for table in metadata.tables
)

Request = tuple[str, str, dict[str, Any]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(postgres_url: str, template: str) -> AsyncIterator[House]:
    settings = {"PARLOR_BCRYPT_COST": "4", "SECURITY_PRIVATE_KEYS": pem("EdDSA")}
    async with a_house(postgres_url, template, **settings) as house:
        yield house


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(house: House) -> AsyncIterator[Stage]:
    async with a_stage(house) as stage:
        yield stage


@pytest.fixture
def document(house: House) -> dict[str, Any]:
    answer: dict[str, Any] = house.transport.app.openapi()  # type: ignore[attr-defined]  # it is our application
    return answer


def operations_of(document: Mapping[str, Any]) -> dict[str, Any]:
    return {
        PLACE.sub("{}", f"{method.upper()} {path.removeprefix(BASE)}"): operation
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }


def route_of(line: Line) -> str:
    return PLACE.sub("{}", line.route.partition("?")[0])


async def test_the_table_has_every_route_of_the_document_and_no_other(document: dict[str, Any]) -> None:
    assert {route_of(line) for line in TABLE} == set(operations_of(document))


async def test_the_document_says_where_keys_count(document: dict[str, Any]) -> None:
    operations = operations_of(document)
    told = {line.route: {"apiKey": []} in operations[route_of(line)]["security"] for line in TABLE}
    assert told == {line.route: line.scope != NO_KEY for line in TABLE}


@pytest.mark.parametrize("line", TABLE, ids=lambda line: line.route)
async def test_everybody_is_told_what_the_contract_says(stage: Stage, line: Line) -> None:
    """And whoever is refused has changed nothing."""
    cast = await a_cast(stage.house) if ends_sessions(line) else stage.cast
    asks = await requests_of(stage, cast, line)
    refused = {caller for caller, (status, _) in line.answers.items() if status >= 400}
    before = await state_of(stage.house)
    got = {caller: await told(stage, asks[caller]) for caller in line.answers if caller in refused}
    assert await state_of(stage.house) == before
    got |= {caller: await told(stage, asks[caller]) for caller in line.answers if caller not in refused}
    assert got == line.answers


async def requests_of(stage: Stage, cast: Cast, line: Line) -> dict[str, Request]:
    """Make what the line is about, and what each caller sends."""
    names = names_in([line.route, BODIES.get(line.route), NAMED.get(line.route)])
    things: Things = {}
    requests: dict[str, Request] = {}
    for caller in line.answers:
        if not things or line.changes:
            things = await stage.things(cast, names)
        headers = await credentials_of(stage, cast, line, caller)
        requests[caller] = request_of(line, things, headers, named=caller in KEYS)
    return requests


async def state_of(house: House) -> dict[str, tuple[int, int]]:
    """Tell every table's rows apart from others; when a key was last used is written some time after."""
    rows = await house.sql.rows(STATE)
    return {row["name"]: (row["number"], row["hash"]) for row in rows}


def ends_sessions(line: Line) -> bool:
    """Whether those who ask, or the owner, may be signed out or disabled by it."""
    return line.changes and bool(re.search(r" /(auth|users)/", line.route))


async def credentials_of(stage: Stage, cast: Cast, line: Line, caller: str) -> dict[str, str]:
    if caller == "nobody":
        return {}
    if caller in KEYS:
        return {"X-API-Key": await key_of(stage, cast, line.scope, poor=caller == "poor key")}
    return {"Authorization": people_of(cast)[caller].client.headers["Authorization"]}


async def key_of(stage: Stage, cast: Cast, scope: str, *, poor: bool) -> str:
    """Make a key of the owner's where it is about what is theirs, else one of the keeper's."""
    if scope == "tasks:create":
        return await stage.key(cast.owner, frozenset() if poor else frozenset({scope}))
    if scope in {ANY_KEY, NO_KEY}:
        return await stage.key(stage.keeper, frozenset() if poor else OURS)
    alike = {
        one for one in OURS if one == scope or (one.startswith("parties:") and scope.startswith("parties:"))
    }
    return await stage.key(stage.keeper, OURS - alike if poor else frozenset({scope}))


def request_of(line: Line, things: Things, headers: Mapping[str, str], *, named: bool) -> Request:
    """Fill the line in; `named` says whom a service acts for."""
    method, path = filled(line.route, things).split(" ")
    body = BODIES.get(line.route)
    more = NAMED.get(line.route, {}) if named else {}
    sent: dict[str, Any] = {"headers": headers}
    if method == "GET":
        sent["params"] = filled(more, things) or None
    elif body is not None or more:
        sent["data" if line.route in FORMS else "json"] = filled({**(body or {}), **more}, things)
    return method, path if NO_BASE.match(path) else BASE + path, sent


async def told(stage: Stage, request: Request) -> Answer:
    """Ask, and answer with the status and, of a refusal, its code."""
    method, path, sent = request
    answer = await stage.nobody.request(method, path, **sent)
    refused = answer.status_code >= 400
    assert answer.headers.get("content-type", "").startswith("application/problem+json") == refused
    return answer.status_code, answer.json()["code"] if refused else None
