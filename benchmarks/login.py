"""Logins beside bare bcrypt, what a storm of them does to everybody else, and refreshes."""

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import bcrypt

from benchmarks.http_api import BARE, PASSWORD, Api, a_floor, an_api, told
from benchmarks.load import Job
from benchmarks.loading import Loader, a_loader, request
from benchmarks.machine import cores
from benchmarks.plan import Plan
from benchmarks.stage import Stage
from benchmarks.table import Measured, Operation, Row
from parlor.adapters.security.tokens import DerivedRefreshTokens

COST = 12
LOGIN = Operation("POST /auth/login", "bcrypt alone, all cores", "logins/s", 0.95)
STORM = Operation("GET /users/me while many log in", "the same in calm", "p99 ms", 3, at_most=True)
REFRESH = Operation("POST /auth/refresh, one connection", BARE, "requests/s")
CALM_RATE, CALM_CONNECTIONS = 200.0, 8
STORM_CONNECTIONS = 6
OK_OR_BUSY = (200, 503)
STORM_BREWS_S = 0.3


async def measure(stage: Stage, plan: Plan) -> list[Row]:
    """Take turns."""
    login, storm, refresh = Row(LOGIN), Row(STORM), Row(REFRESH)
    async with (
        an_api(stage) as api,
        a_floor(stage) as (floor_port, _),
        a_loader(stage) as loader,
        a_loader(stage) as stormy,
    ):
        chain = _chain(stage, api.refresh_token)
        for _ in range(plan.rounds):
            with login.failing():
                login.add(await asyncio.to_thread(_bare, plan.logins), await _logins(loader, api, plan))
            with storm.failing():
                storm.add(await _calm(loader, api, plan), await _under_storm(loader, stormy, api, plan))
            with refresh.failing():
                bare = Job(floor_port, [request("GET", "/")], connections=1, count=plan.refreshes)
                rotations = [next(chain) for _ in range(plan.refreshes)]
                ours = Job(api.port, rotations, connections=1, count=plan.refreshes)
                refresh.add(told(await loader.run(bare)), told(await loader.run(ours)))
    return [login, storm, refresh]


def _chain(stage: Stage, token: str) -> Iterator[str]:
    """Foretell every refresh token of a session by the server's secret, so that each answer need not be read."""
    tokens = DerivedRefreshTokens(stage.settings.secrets)
    while True:
        yield request("POST", "/api/v1/auth/refresh", body={"refresh_token": token})
        token = tokens.successors(token)[0]


def _bare(count: int) -> Measured:
    """Check as many passwords, with a thread for each core."""
    secret = PASSWORD.encode()
    hashed = bcrypt.hashpw(secret, bcrypt.gensalt(COST))
    with ThreadPoolExecutor(cores()) as threads:
        began = time.perf_counter()
        list(threads.map(lambda _: bcrypt.checkpw(secret, hashed), range(count)))
        return Measured(count / (time.perf_counter() - began))


async def _logins(loader: Loader, api: Api, plan: Plan) -> Measured:
    job = _login(api, count=plan.logins, connections=2 * cores())
    answer = await loader.run(job, expect=OK_OR_BUSY)
    return told(answer, refused_as_busy=answer.statuses.get("503", 0))


async def _calm(loader: Loader, api: Api, plan: Plan) -> Measured:
    job = Job(
        port=api.port,
        requests=[api.get("/users/me")],
        connections=CALM_CONNECTIONS,
        seconds=plan.storm_s,
        warm_s=STORM_BREWS_S,
        rate=CALM_RATE,
    )
    answer = await loader.run(job)
    return Measured(answer.p99_ms, {"p50 ms": answer.p50_ms, "p99 ms": answer.p99_ms})


async def _under_storm(loader: Loader, stormy: Loader, api: Api, plan: Plan) -> Measured:
    storm = replace(_login(api, connections=STORM_CONNECTIONS), seconds=plan.storm_s + 2 * STORM_BREWS_S)
    raging = asyncio.create_task(stormy.run(storm, expect=OK_OR_BUSY))
    measured = await _calm(loader, api, plan)
    raged = await raging
    measured.details["logins"] = raged.statuses.get("200", 0)
    measured.details["refused as busy"] = raged.statuses.get("503", 0)
    return measured


def _login(api: Api, *, connections: int, count: int = 0) -> Job:
    body = {"email": api.visitor, "password": PASSWORD}
    requests = [request("POST", "/api/v1/auth/login", body=body)]
    return Job(port=api.port, requests=requests, connections=connections, count=count)
