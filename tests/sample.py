"""A small evening's worth of everything, for whoever looks at it in a browser."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx

from parlor.adapters.sql.engine import Database
from parlor.core.identity.ports import PasswordHasher
from parlor.core.shared.clock import system_clock
from parlor.core.shared.ids import TaskId, UserId
from tests.builders import PASSWORD, a_letter, a_requester, a_schedule, a_session, a_task, a_user, an_actor
from tests.serving import Api
from tests.sql import Sql

NAMES = ("Ada Lovelace", "Grace Hopper", "Alan Turing", "Edsger Dijkstra", "Barbara Liskov", "Tony Hoare")
ENDED = """
update tasks set status = $2, attempts = $3, error = $4, result = $5,
       started_at = created_at + interval '1 s', finished_at = created_at + interval '3 s' where id = $1"""
CARD = {"mode": "truth", "rating": "family", "language": "en"}
DRAWN = {"prompt_id": "en-12", "text": "What did you believe for far too long?", "source": "deck"}
REFUSED = {"code": "http_unreachable", "message": "No connection to films.example.org.", "retryable": True}
TALK = (
    "Who brings the projector tonight?",
    "I do, and the long cable.",
    "Then I bring popcorn. Salted!",
    "Truth or dare afterwards?",
    "Dare. Always dare.",
)


@dataclass(frozen=True, slots=True)
class Sample:
    """Who is in it, by first name, and the tasks and letters that tests do something about."""

    sql: Sql
    people: dict[str, UserId]
    failed: list[TaskId]
    party: str

    def email(self, name: str) -> str:
        """Answer somebody's address."""
        return f"{name.lower()}@example.org"


async def fill(api: Api) -> Sample:
    """Make it; Ada is an administrator, and everybody has the builders' password."""
    sql = Sql(api.container.get(Database))
    people = await _people(api, sql)
    failed = await _background(sql, people)
    async with httpx.AsyncClient(base_url=f"{api.base}/api/v1", trust_env=False) as client:
        party = await _evening(client, people)
    return Sample(sql, people, failed, party)


async def _people(api: Api, sql: Sql) -> dict[str, UserId]:
    now = system_clock()
    known = await api.container.get(PasswordHasher).hash(PASSWORD)
    people: dict[str, UserId] = {}
    async with sql.work() as work:
        for place, name in enumerate(NAMES):
            first = name.partition(" ")[0]
            at = now - timedelta(days=40 - 5 * place)
            user = a_user(
                email=f"{first.lower()}@example.org",
                display_name=name,
                password_hash=known,
                roles=frozenset({"user", "admin"} if first == "Ada" else {"user"}),
                created_at=at,
                updated_at=at,
            )
            people[first] = user.id
            await work.users.add(user)
            await work.sessions.add(user, a_session(user, created_at=now, current=user.id.bytes))
    return people


async def _background(sql: Sql, people: dict[str, UserId]) -> list[TaskId]:
    """Order, finish and fail; plan; and fail to understand."""
    failed: list[TaskId] = []
    for place, (name, user_id) in enumerate(list(people.items()) * 3):
        asked = a_requester(an_actor(user_id=user_id))
        url = {"method": "GET", "url": "https://films.example.org/tonight", "headers": {}}
        fails = place % 4 == 1
        task = a_task(
            kind="http_request" if fails else "truth_or_dare",
            payload=url if fails else CARD,
            requested_by=asked,
        )
        await sql.enqueue(task)
        if fails:
            failed.append(task.id)
            await sql.execute(ENDED, task.id, "failed", 5, REFUSED, None)
        elif name != "Tony":
            await sql.execute(ENDED, task.id, "succeeded", 1, None, DRAWN)
    await sql.clear_outbox()
    schedule = a_schedule(
        owner_id=people["Grace"],
        name="A card every evening",
        cron="0 20 * * *",
        timezone="Europe/Berlin",
        kind="truth_or_dare",
        payload=CARD,
        next_run_at=system_clock() + timedelta(hours=5),
    )
    async with sql.work() as work:
        await work.schedules.add(schedule)
        for number in range(3):
            await work.letters.add(a_letter(message_id=f"order-{number}"))
        await work.letters.add(a_letter(reason="unknown_kind", detail="There is no kind film_night."))
    return failed


async def _evening(client: httpx.AsyncClient, people: dict[str, UserId]) -> str:
    """Found a party, fill it, and talk in its chat."""
    ada = await _signed_in(client, "ada")
    grace, alan = await _signed_in(client, "grace"), await _signed_in(client, "alan")
    film = {"name": "Film night", "description": "Every Thursday at Grace's.", "capacity": 12}
    party = await _makes(client, grace, "/parties", film)
    await _makes(client, alan, "/parties", {"name": "Chess & tea", "visibility": "private", "capacity": 4})
    await _makes(client, alan, f"/parties/{party['id']}/join")
    await _makes(client, ada, f"/parties/{party['id']}/join")
    await _makes(client, grace, f"/parties/{party['id']}/invitations", {"user_id": str(people["Barbara"])})
    banned = await client.put(f"/parties/{party['id']}/bans/{people['Tony']}", headers=grace)
    assert banned.status_code in {200, 204}, banned.text
    for place, text in enumerate(TALK):
        await _makes(
            client, (grace, alan, ada)[place % 3], f"/chats/{party['chat_id']}/messages", {"text": text}
        )
    await _makes(
        client, ada, "/chats", {"kind": "group", "title": "Hosts", "member_ids": [str(people["Grace"])]}
    )
    await _makes(client, ada, "/api-keys", {"name": "film list", "scopes": ["tasks:create", "parties:read"]})
    return str(party["id"])


async def _signed_in(client: httpx.AsyncClient, name: str) -> dict[str, str]:
    pair = await _makes(client, {}, "/auth/login", {"email": f"{name}@example.org", "password": PASSWORD})
    return {"Authorization": f"Bearer {pair['access_token']}"}


async def _makes(client: httpx.AsyncClient, headers: dict[str, str], path: str, body: object = None) -> Any:
    answer = await client.post(path, json=body, headers=headers)
    assert answer.status_code in {200, 201}, answer.text
    return answer.json()
