"""People, keys and things that belong to one of them: what a request needs to be a valid one."""

import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from parlor.core.identity.mail_tokens import MailToken, Purpose, fingerprint_of
from parlor.core.identity.model import email_key
from parlor.core.identity.ports import AccessTokens, PasswordHasher
from parlor.core.shared.clock import system_clock
from parlor.core.shared.ids import UserId
from tests.builders import DAY, PASSWORD, a_letter
from tests.chat_house import House, Person
from tests.e2e.authorization import CARD, MODERATES

BASE = "/api/v1"
NAMES = re.compile(r"{(\w+)}")

Things = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Cast:
    """Those who ask, and somebody else."""

    stranger: Person
    peer: Person
    owner: Person
    moderator: Person
    admin: Person
    other: Person


@dataclass(frozen=True, slots=True)
class Stage:
    """One application; its keeper is an administrator who is asked about nothing else."""

    house: House
    nobody: httpx.AsyncClient
    keeper: Person
    cast: Cast
    keys: dict[tuple[UserId, frozenset[str]], str] = field(default_factory=dict)

    async def makes(self, maker: Person, path: str, body: object = None) -> Any:
        """Have somebody make something; answers it."""
        answer = await maker.client.post(f"{BASE}{path}", json=body)
        assert answer.status_code in {200, 201, 202}, answer.text
        return answer.json()

    async def key(self, maker: Person, scopes: frozenset[str]) -> str:
        """Have somebody make a key, unless they have one like it."""
        if (maker.id, scopes) not in self.keys:
            made = await self.makes(maker, "/api-keys", {"name": "films", "scopes": sorted(scopes)})
            self.keys[maker.id, scopes] = made["key"]
        return self.keys[maker.id, scopes]

    async def things(self, cast: Cast, names: set[str]) -> Things:
        """Make what these names stand for."""
        made = {"password": PASSWORD, "emoji": "👍", "word": secrets.token_hex(8)}
        made |= {name: str(person.id) for name, person in people_of(cast).items()}
        made["address"] = f"{made['word']}@example.com"
        for name, make in MAKERS.items():
            if names & set(name.split()):
                made |= await make(self, cast)
        return made


def people_of(cast: Cast) -> dict[str, Person]:
    return {name: getattr(cast, name) for name in cast.__slots__}


@asynccontextmanager
async def a_stage(house: House) -> AsyncIterator[Stage]:
    """Make the role that this is about, and those who ask."""
    keeper = await house.person("Keeper", "admin")
    role = {"name": "moderator", "permissions": sorted(MODERATES)}
    made = await keeper.client.post(f"{BASE}/roles", json=role)
    assert made.status_code == 201, made.text
    async with httpx.AsyncClient(transport=house.transport, base_url="http://test") as nobody:
        yield Stage(house, nobody, keeper, await a_cast(house))


async def a_cast(house: House) -> Cast:
    """Sign new people in; they know their passwords."""
    roles = {"moderator": ["moderator"], "admin": ["admin"]}
    people = {name: await house.person(name, *roles.get(name, [])) for name in Cast.__slots__}
    known = await house.container.get(PasswordHasher).hash(PASSWORD)
    ids = [person.id for person in people.values()]
    await house.sql.execute("update users set password_hash = $1 where id = any($2)", known, ids)
    return Cast(**people)


def names_in(value: object) -> set[str]:
    """Find the names in braces, at any depth."""
    return set(NAMES.findall(str(value)))


def filled(value: Any, things: Things) -> Any:
    """Put things in the places of their names."""
    match value:
        case str():
            return NAMES.sub(lambda name: things[name[1]], value)
        case list():
            return [filled(one, things) for one in value]
        case Mapping():
            return {name: filled(one, things) for name, one in value.items()}
        case _:
            return value


async def _account(stage: Stage, _: Cast) -> Things:
    """Make an account that has just logged in, and was mailed both tokens."""
    account = {"email": f"{secrets.token_hex(8)}@example.com", "password": PASSWORD}
    user = (await stage.nobody.post(f"{BASE}/auth/register", json=account)).json()
    pair = (await stage.nobody.post(f"{BASE}/auth/login", json=account)).json()
    mailed = {purpose: secrets.token_urlsafe(32) for purpose in Purpose}
    async with stage.house.sql.work() as work:
        for purpose, token in mailed.items():
            whose = UserId(user["id"]), purpose, fingerprint_of(token), email_key(account["email"])
            await work.mail_tokens.replace(MailToken(*whose, system_clock() + DAY))
    tokens = {"token": pair["access_token"], "refresh": pair["refresh_token"]}
    return {"email": account["email"], **tokens, **{str(purpose): token for purpose, token in mailed.items()}}


async def _session(stage: Stage, cast: Cast) -> Things:
    token = cast.owner.client.headers["Authorization"].removeprefix("Bearer ")
    claims = stage.house.container.get(AccessTokens).verify(token)
    return {"session": str(claims.session_id)}


async def _key(stage: Stage, cast: Cast) -> Things:
    return {"key": (await stage.makes(cast.owner, "/api-keys", {"name": "films", "scopes": []}))["id"]}


async def _role(stage: Stage, _: Cast) -> Things:
    return {"role": (await stage.makes(stage.keeper, "/roles", {"name": secrets.token_hex(8)}))["name"]}


def _party(visibility: str) -> "Maker":
    async def make(stage: Stage, cast: Cast) -> Things:
        """Found a party of the owner's; the peer has a seat."""
        party = {"name": "Dragons", "visibility": visibility}
        party_id = (await stage.makes(cast.owner, "/parties", party))["id"]
        await stage.makes(stage.keeper, f"/parties/{party_id}/join", {"user_id": str(cast.peer.id)})
        return {visibility: party_id}

    return make


async def _invitation(stage: Stage, cast: Cast) -> Things:
    party = await stage.makes(cast.owner, "/parties", {"name": "Dragons", "visibility": "private"})
    sent = await stage.makes(
        cast.owner, f"/parties/{party['id']}/invitations", {"user_id": str(cast.peer.id)}
    )
    return {"invitation": sent["id"]}


async def _chat(stage: Stage, cast: Cast) -> Things:
    """Open a group of the owner's with the peer; the owner has said something."""
    group = {"kind": "group", "member_ids": [str(cast.peer.id)]}
    chat_id = (await stage.makes(cast.owner, "/chats", group))["id"]
    said = await stage.makes(cast.owner, f"/chats/{chat_id}/messages", {"text": "hello"})
    return {"chat": chat_id, "text": said["id"]}


async def _task(stage: Stage, cast: Cast) -> Things:
    return {"task": (await stage.makes(cast.owner, "/tasks", CARD))["id"]}


async def _ended(stage: Stage, cast: Cast) -> Things:
    task_id = (await _task(stage, cast))["task"]
    await stage.makes(cast.owner, f"/tasks/{task_id}/cancel")
    return {"ended": task_id}


async def _schedule(stage: Stage, cast: Cast) -> Things:
    schedule = {"name": "Mornings", "cron": "0 7 * * *", **CARD}
    return {"schedule": (await stage.makes(cast.owner, "/schedules", schedule))["id"]}


async def _letter(stage: Stage, _: Cast) -> Things:
    letter = a_letter()
    async with stage.house.sql.work() as work:
        await work.letters.add(letter)
    return {"letter": str(letter.id)}


Maker = Callable[[Stage, Cast], Awaitable[Things]]
MAKERS: Mapping[str, Maker] = {
    "email token refresh password_reset email_verification": _account,
    "session": _session,
    "key": _key,
    "role": _role,
    "private": _party("private"),
    "public": _party("public"),
    "invitation": _invitation,
    "chat text": _chat,
    "task": _task,
    "ended": _ended,
    "schedule": _schedule,
    "letter": _letter,
}
