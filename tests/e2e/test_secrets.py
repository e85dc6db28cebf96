"""Passwords, tokens, keys and their hashes, used in every way that there is: nothing that Parlor says holds one."""

import asyncio
import base64
import email
import email.policy
import re
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx
import pika
import pytest
import pytest_asyncio

from tests.e2e.needles import Needles, a_password
from tests.fleet import Fleet, Process, a_fleet, free_port
from tests.servers import Postgres
from tests.servers.session import shared_url
from tests.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

MAILED = re.compile(r"token=([\w-]{43})")
HASHES = {  # where they belong
    "users": ("password_hash",),
    "sessions": ("current", "parent"),
    "refresh_tokens": ("fingerprint",),
    "tickets": ("fingerprint",),
    "mail_tokens": ("fingerprint",),
    "api_keys": ("fingerprint",),
}


@dataclass(frozen=True, slots=True)
class Run:
    """One life of an API process and a worker, and what is secret about it."""

    fleet: Fleet
    needles: Needles
    api: Process
    worker: Process
    client: httpx.AsyncClient
    mails: Path
    target: str

    async def ask(self, method: str, path: str, expected: int, **sent: Any) -> Any:
        answer = await self.client.request(method, path, **sent)
        assert answer.status_code == expected, f"{method} {path}: {answer.status_code} {answer.text}"
        assert not self.needles.found_in(answer.text) or answer.is_success, f"{method} {path}"
        return answer.json() if answer.content and "json" in answer.headers["content-type"] else None

    async def pair(self, path: str, expected: int = 200, **sent: Any) -> Any:
        """Have tokens given, and remember them."""
        pair = await self.ask("POST", path, expected, **sent)
        self.needles.add("access token", pair["access_token"].rpartition(".")[2])
        self.needles.add("refresh token", pair["refresh_token"])
        return pair

    async def mailed(self, number: int) -> str:
        """Wait for so many mails, and take the token out of the newest."""
        await eventually(lambda: len(list(self.mails.glob("*.eml"))) >= number)
        newest = max(self.mails.glob("*.eml"), key=lambda file: file.stat().st_mtime_ns)
        mail = email.message_from_bytes(newest.read_bytes(), policy=email.policy.default)
        (token,) = MAILED.findall(mail.get_content())
        return self.needles.add("mailed token", token)

    async def remember_hashes(self) -> None:
        async with self.fleet.database() as database:
            for table, columns in HASHES.items():
                for row in await database.fetch(f"select {', '.join(columns)} from {table}"):
                    for name, value in row.items():
                        if value is not None:
                            self.needles.add_hash(f"{table}.{name}", value)

    @asynccontextmanager
    async def without(self, table: str, column: str) -> AsyncIterator[None]:
        """Let statements fail that nobody expected to."""
        async with self.fleet.database() as database:
            await database.execute(f"alter table {table} rename column {column} to away")
            yield
            await database.execute(f"alter table {table} rename column away to {column}")

    @asynccontextmanager
    async def refusing(self, table: str, rows: str) -> AsyncIterator[None]:
        """Let rows be refused, which PostgreSQL shows whole in its error's detail."""
        async with self.fleet.database() as database:
            await database.execute(f"alter table {table} add constraint unforeseen check ({rows}) not valid")
            yield
            await database.execute(f"alter table {table} drop constraint unforeseen")


@dataclass(frozen=True, slots=True)
class Said:
    """All that was said in the run, by where."""

    needles: Needles
    logs: dict[str, str]
    server_log: str | None
    events: str
    rows: dict[str, str]


async def answer_ok(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    await writer.drain()
    writer.close()


def listening(fleet: Fleet) -> Iterator[str]:
    """Take a copy of each event and task message; then answer, at every `next`, with those that came."""
    with closing(pika.BlockingConnection(pika.URLParameters(fleet.rabbitmq_url))) as connection:
        channel = connection.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        for exchange, key in (("events", "#"), ("tasks", "default")):
            channel.queue_bind(queue, f"{fleet.namespace}.{exchange}", key)
        yield ""
        told = ""
        while (got := channel.basic_get(queue, auto_ack=True))[0] is not None:
            told += f"{got[0].routing_key} {got[1].headers} {got[2]!r}\n"
        yield told


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def said(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Said]:
    """Use every secret there is, on servers whose logs are at hand."""
    folder, needles, port = tmp_path_factory.mktemp("secrets"), Needles(), free_port()
    needles.guises["$2b$04$"] = "any password's hash"
    boot = needles.add("bootstrap key", f"parlor_boot_{secrets.token_urlsafe(32)}")
    settings = {
        "PARLOR_LOG_LEVEL": "debug",
        "PARLOR_MAIL_DIR": str(folder / "mail"),
        "PARLOR_HTTP_ALLOW": f"127.0.0.1:{port}",
        "PARLOR_PUBLIC_URL": "https://parlor.example.org",
        "PARLOR_REFRESH_GRACE_S": "0",
        "PARLOR_BOOTSTRAP_API_KEY": f"{boot}=tokens:introspect,tasks:create",
        "SECURITY_SECRET_KEY": needles.add("secret key", secrets.token_urlsafe(48)),
    }
    with Postgres() as postgres:
        needles.add("database password", str(urlsplit(postgres.url).password))
        servers = (postgres.url, shared_url("redis"), shared_url("rabbitmq"))
        async with (
            a_fleet(*servers, folder, **settings) as fleet,
            await asyncio.start_server(answer_ok, "127.0.0.1", port),
        ):
            heard = listening(fleet)
            next(heard)
            api, worker = await asyncio.gather(fleet.serve(), fleet.worker())
            async with httpx.AsyncClient(
                base_url=f"{api.base}/api/v1", trust_env=False, timeout=40
            ) as client:
                run = Run(fleet, needles, api, worker, client, folder / "mail", f"http://127.0.0.1:{port}/")
                await live(run, boot)
            rows = await rows_of(fleet)
            await asyncio.gather(api.stop(), worker.stop())
            logs = {process.log.name: process.log.read_text() for process in (api, worker)}
            yield Said(needles, logs, await server_log_of(postgres), next(heard), rows)


async def rows_of(fleet: Fleet) -> dict[str, str]:
    """Read every table, without the columns where hashes belong."""
    rows: dict[str, str] = {}
    async with fleet.database() as database:
        for (table,) in await database.fetch("select tablename from pg_tables where schemaname = 'public'"):
            told = "to_jsonb(t)" + "".join(f" - '{column}'" for column in HASHES.get(table, ()))
            found = await database.fetch(f"select ({told})::text from {table} t")
            rows[table] = "\n".join(text for (text,) in found)
    return rows


async def server_log_of(postgres: Postgres) -> str | None:
    """Read it where the server is a process of ours; a container's is its own."""
    connection = await asyncpg.connect(postgres.superuser_url)
    try:
        data: str = await connection.fetchval("show data_directory")
    finally:
        await connection.close()
    log = Path(data).with_name("server.log")
    return log.read_text() if log.exists() else None


async def live(run: Run, boot: str) -> None:
    """Go through everything that touches a secret."""
    account = {"email": "ada@example.com", "password": run.needles.add("password", a_password())}
    await refused_registrations(run, account["password"])
    newcomers = (run.client.post("/auth/register", json=account) for _ in range(8))
    answers = [answer.status_code for answer in await asyncio.gather(*newcomers)]
    assert sorted(answers) == [201, *[409] * 7]
    await run.remember_hashes()
    pair = await sessions(run, account)
    bearer = {"Authorization": f"Bearer {pair['access_token']}"}
    await keys(run, bearer, boot, pair)
    await tickets(run, bearer)
    await mails_and_passwords(run, bearer, account)
    await calls(run)
    await breakdowns(run, account)


async def refused_registrations(run: Run, password: str) -> None:
    """Bodies that are refused are not repeated."""
    wrong = {"email": "nobody", "password": password}
    await run.ask("POST", "/auth/register", 422, json=wrong)
    await run.ask(
        "POST", "/auth/register", 422, json={"email": "a@example.com", "password": password, "pass": password}
    )
    await run.ask("POST", "/auth/register", 422, json={"email": password, "password": [password]})
    json = {"content-type": "application/json"}
    await run.ask("POST", "/auth/login", 400, content=f'{{"password": "{password}'.encode(), headers=json)
    await run.ask(
        "POST", "/auth/login", 415, content=password.encode(), headers={"content-type": "text/plain"}
    )
    await run.ask("POST", "/auth/token", 422, data={"username": "ada@example.com", "pass": password})


async def sessions(run: Run, account: dict[str, str]) -> Any:
    """Log in, rightly and wrongly, by JSON and by form; refresh, and show a used-up token again."""
    wrong = run.needles.add("wrong password", a_password())
    await run.ask("POST", "/auth/login", 401, json=account | {"password": wrong})
    await run.ask("POST", "/auth/login", 401, json={"email": "eve@example.com", "password": wrong})
    first = await run.pair("/auth/login", json=account)
    second = await run.pair("/auth/refresh", json={"refresh_token": first["refresh_token"]})
    await run.pair("/auth/refresh", json={"refresh_token": second["refresh_token"]})
    await run.remember_hashes()
    await run.ask("POST", "/auth/refresh", 401, json={"refresh_token": first["refresh_token"]})
    basic = base64.b64encode(f"{account['email']}:{account['password']}".encode()).decode()
    await run.ask("GET", "/users/me", 401, headers={"Authorization": f"Basic {basic}"})
    return await run.pair("/auth/token", data={"username": account["email"], "password": account["password"]})


async def keys(run: Run, bearer: dict[str, str], boot: str, pair: dict[str, str]) -> None:
    """Make a key, use it rightly and wrongly; ask about tokens."""
    made = await run.ask("POST", "/api-keys", 201, json={"name": "films", "scopes": []}, headers=bearer)
    key = run.needles.add("api key", made["key"])
    await run.remember_hashes()
    await run.ask("GET", "/task-kinds", 200, headers={"X-API-Key": key})
    await run.ask("GET", "/task-kinds", 401, headers={"X-API-Key": f"{key}x"})
    await run.ask("GET", "/task-kinds", 401, headers={"X-API-Key": key, **bearer})
    await run.ask("GET", "/task-kinds", 401, params={"api_key": key, "access_token": pair["access_token"]})
    await run.ask("GET", f"/tasks/{key}", 401)
    await run.ask("GET", f"/users/{key}", 422, headers=bearer)
    await run.ask("GET", f"/{pair['refresh_token']}", 404)
    for token in (pair["access_token"], pair["refresh_token"], key):
        await run.ask("POST", "/auth/introspect", 200, data={"token": token}, headers={"X-API-Key": boot})
        await run.ask("POST", "/auth/introspect", 403, json={"token": token}, headers={"X-API-Key": key})
    await run.ask("POST", "/auth/revoke", 200, data={"token": key}, headers={"X-API-Key": boot})


async def tickets(run: Run, bearer: dict[str, str]) -> None:
    """Open a stream with a ticket, and show it again, here and where none counts."""
    card = {"kind": "truth_or_dare", "payload": {}}
    task = await run.ask("POST", "/tasks", 202, json=card, headers=bearer)
    await run.ask("GET", f"/tasks/{task['id']}?wait=30", 200, headers=bearer)
    made = await run.ask("POST", "/realtime/tickets", 201, headers=bearer)
    ticket = run.needles.add("ticket", made["ticket"])
    await run.remember_hashes()
    await run.ask("GET", f"/tasks/{task['id']}/events", 200, params={"ticket": ticket})
    await run.ask("GET", f"/tasks/{task['id']}/events", 401, params={"ticket": ticket})
    await run.ask("GET", "/users/me", 401, params={"ticket": ticket})
    await run.ask("GET", "/nothing", 404, params={"ticket": ticket})


async def mails_and_passwords(run: Run, bearer: dict[str, str], account: dict[str, str]) -> None:
    """Verify the address, forget the password, change it: the account has the newest in the end."""
    await run.ask("POST", "/auth/email-verification", 202, headers=bearer)
    token = await run.mailed(1)
    await run.remember_hashes()
    await run.ask("POST", "/auth/email-verification/confirm", 204, json={"token": token})
    await run.ask("POST", "/auth/email-verification/confirm", 401, json={"token": token})
    await run.ask("POST", "/auth/password-reset", 202, json={"email": account["email"]})
    token, reset = await run.mailed(2), run.needles.add("password from reset", a_password())
    await run.remember_hashes()
    await run.ask("POST", "/auth/password-reset/confirm", 204, json={"token": token, "new_password": reset})
    await run.remember_hashes()
    account["password"] = reset
    pair = await run.pair("/auth/login", json=account)
    changed = run.needles.add("changed password", a_password())
    new = {"current_password": reset, "new_password": changed}
    again = {"Authorization": f"Bearer {pair['access_token']}"}
    await run.ask("POST", "/users/me/password", 204, json=new, headers=again)
    await run.remember_hashes()
    account["password"] = changed


async def calls(run: Run) -> None:
    """Have services called with secrets: one answers, one is not there, one has no name; and make an order badly."""
    secret = run.needles.add("header", secrets.token_urlsafe(32))
    body = run.needles.add("body", secrets.token_urlsafe(32))
    password = run.needles.add("password", a_password())
    made = await asyncio.to_thread(
        run.fleet.run,
        *("users", "create-admin", "--email", "root@example.com", "--password-stdin"),
        stdin=f"{password}\n",
    )
    assert made.returncode == 0
    assert not run.needles.found_in(made.stdout + made.stderr)
    root = await run.pair("/auth/login", json={"email": "root@example.com", "password": password})
    bearer = {"Authorization": f"Bearer {root['access_token']}"}
    for url in (run.target, f"http://127.0.0.1:{free_port()}/", "http://nowhere.invalid/"):
        call = {"url": url, "method": "POST", "headers": {"Authorization": secret}, "body": body}
        order = {"kind": "http_request", "payload": call, "max_attempts": 1}
        task = await run.ask("POST", "/tasks", 202, json=order, headers=bearer)
        ended = await run.ask("GET", f"/tasks/{task['id']}?wait=30", 200, headers=bearer)
        assert ended["status"] in {"succeeded", "failed"}
        assert not run.needles.found_in(str(ended))
    wrong = {"url": run.target, "headers": {"Authorization": f"{secret}\n"}, "body": body, "json": secret}
    await run.ask("POST", "/tasks", 422, json={"kind": "http_request", "payload": wrong}, headers=bearer)


async def breakdowns(run: Run, account: dict[str, str]) -> None:
    """What nobody expected happens while a user is read, stored, and signed in."""
    newcomer = {"email": "new@example.com", "password": run.needles.add("newcomer's password", a_password())}
    async with run.without("users", "password_hash"):
        await run.ask("POST", "/auth/register", 500, json=newcomer)
    async with run.refusing("users", "email <> 'new@example.com'"):
        await run.ask("POST", "/auth/register", 500, json=newcomer)
    async with run.without("refresh_tokens", "fingerprint"):
        pair = await run.client.post("/auth/login", json=account)
        if pair.is_success:
            run.needles.add("refresh token", pair.json()["refresh_token"])
            await run.ask("POST", "/auth/refresh", 500, json={"refresh_token": pair.json()["refresh_token"]})
    async with run.without("sessions", "current"):
        await run.ask("POST", "/auth/login", 500, json=account)
    await run.remember_hashes()


async def test_no_process_logs_a_secret(said: Said) -> None:
    """At debug level, in words or with a traceback."""
    found = {name: said.needles.found_in(log) for name, log in said.logs.items()}
    assert not any(found.values()), found
    assert '"unexpected_error"' in "".join(said.logs.values()), "errors were logged"
    assert all('"use_case"' in log or '"task' in log for log in said.logs.values()), said.logs


async def test_the_database_server_logs_no_secret(said: Said) -> None:
    if said.server_log is not None:
        assert said.needles.found_in(said.server_log) == set()
        assert "ERROR:" in said.server_log, "statements failed"


async def test_no_event_and_no_task_message_holds_a_secret(said: Said) -> None:
    assert said.needles.found_in(said.events) == set()
    for name in ("identity.user_registered", "identity.refresh_reuse_detected", "tasks.task_succeeded"):
        assert name in said.events


async def test_no_row_holds_a_secret_but_the_columns_for_hashes(said: Said) -> None:
    """Tasks, outboxes, dead letters and the login history among them."""
    found = {name: said.needles.found_in(rows) for name, rows in said.rows.items()}
    assert not any(found.values()), found
    assert said.rows["tasks"].count("http_request") == 3
    assert said.rows["logins"].count("wrong_password") == 1


async def test_a_secret_is_found_in_every_guise() -> None:
    needles, secret = Needles(), a_password()
    needles.add("password", secret)
    guises = [repr(secret), repr({"a": secret}), str(httpx.QueryParams({"p": secret})), secret.encode().hex()]
    guises += [base64.b64encode(f"{'a' * n}{secret}".encode()).decode() for n in range(3)]
    assert [needles.found_in(guise) != set() for guise in guises] == [True] * len(guises)
    assert needles.found_in(a_password()) == set()
