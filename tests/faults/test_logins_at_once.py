"""Sixty people log in to one process in the same moment: all of them are let in."""

import asyncio
from datetime import UTC, datetime

import httpx

from parlor.adapters.security.passwords import BcryptHasher
from parlor.adapters.sql.engine import Database
from tests.builders import a_user
from tests.faults.score import ROUNDS, Tally, rounds
from tests.fleet import NO_TLS, PASSWORD, Fleet
from tests.sql import Sql

AT_ONCE = 60
COST = "10" if ROUNDS == 1 else "12"  # `make test` and `make faults`: hashing gives way to whatever else runs


async def test_sixty_logins_at_once_are_sixty_logins(fleet: Fleet) -> None:
    """None is refused, each has a session of its own, and whoever only reads is answered meanwhile."""
    fleet.settings["PARLOR_BCRYPT_COST"] = COST
    api, emails = await fleet.serve(), await accounts(fleet)
    times, took_s = rounds(3), 0.0
    answers: list[httpx.Response] = []
    async with httpx.AsyncClient(base_url=f"{api.base}/api/v1", verify=NO_TLS, timeout=120) as client:
        for _ in range(times):
            since = datetime.now(UTC)
            storm = [log_in(client, email) for email in emails]
            *reached, read = await asyncio.gather(*storm, client.get(f"{api.base}/healthz"))
            took_s = max(took_s, (datetime.now(UTC) - since).total_seconds())
            assert read.status_code == 200
            answers += reached
    assert {answer.status_code for answer in answers} == {200}, [answer.text for answer in answers]
    async with fleet.database() as database:
        sessions = await database.fetchval("select count(*) from sessions")
    tokens = {answer.json()["refresh_token"] for answer in answers}
    line = Tally(
        fault=f"{AT_ONCE} logins at once on one process, bcrypt at cost {COST}",
        times=times,
        what="logins",
        sent=len(answers),
        kept=len(tokens),
        doubled=sessions - len(tokens),
        lost=len(answers) - len(tokens),
        again=0,
        recovery_s=took_s,
    )
    assert line.tell().clean


async def log_in(client: httpx.AsyncClient, email: str) -> httpx.Response:
    return await client.post("/auth/login", json={"email": email, "password": PASSWORD})


async def accounts(fleet: Fleet) -> list[str]:
    """Make them with one hash for all."""
    hasher = BcryptHasher(cost=int(COST), threads=1)
    password_hash = await hasher.hash(PASSWORD)
    hasher.close()
    users = [a_user(password_hash=password_hash) for _ in range(AT_ONCE)]
    database = Database(fleet.database_url, size=1, name="tests")
    await database.open()
    async with Sql(database).work() as work:
        for user in users:
            await work.users.add(user)
    await database.close()
    return [user.email for user in users]
