"""Calls: one credential, safe repetitions, problems as errors, pages."""

import asyncio
import re
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Self
from uuid import uuid4

import httpx

from parlor.client.backoff import Backoff
from parlor.client.errors import ClientError, Problem, Unreachable, problem_of
from parlor.client.session import OnTokens, Session, Tokens

BASE = "/api/v1"
KEY = "Idempotency-Key"
TAKES_KEY = re.compile(r"/(parties(/[^/]+/invitations)?|chats|tasks(/batch)?|schedules)")
REFRESH_TIMEOUT_S = 5.0  # three attempts fit into the server's grace of 20 s


class Rest:
    """Parlor's routes, called as one account or with an API key.

    Calls raise Problem where Parlor refuses, Unreachable where no answer comes, SignedOut where the session has ended.
    GET, and POST that takes an `Idempotency-Key`, are repeated after a lost connection, 5xx and 429; others never are.
    """

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str | None = None,
        tokens: Tokens | None = None,
        on_tokens: OnTokens | None = None,
        timeout_s: float = 30,
        backoff: Backoff | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/") + BASE
        self.session = Session(self._refresh, tokens, on_tokens)
        self.backoff = backoff or Backoff()
        self.tls = tls  # whom to trust, where the usual authorities do not do
        self._api_key = api_key
        self._timeout_s = timeout_s
        verify = True if tls is None else tls
        self._http = httpx.AsyncClient(
            base_url=self.base_url,
            timeout=None,  # noqa: S113 - each attempt has one, for all of it
            verify=verify,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.session.close()
        await self._http.aclose()

    async def get(self, path: str, **query: Any) -> Any:
        """Read; the query's values as they are, None for those that are left out."""
        return await self.request("GET", path, query=query)

    async def post(self, path: str, *, json: Any = None, headers: Mapping[str, str] | None = None) -> Any:
        """Make or do something."""
        return await self.request("POST", path, json=json, headers=headers)

    async def patch(self, path: str, *, json: Any, headers: Mapping[str, str] | None = None) -> Any:
        """Change something; `headers={"If-Match": '"3"'}` only if it is still version 3."""
        return await self.request("PATCH", path, json=json, headers=headers)

    async def put(self, path: str, *, json: Any = None, headers: Mapping[str, str] | None = None) -> Any:
        """Set something."""
        return await self.request("PUT", path, json=json, headers=headers)

    async def delete(self, path: str, *, json: Any = None, headers: Mapping[str, str] | None = None) -> Any:
        """Remove something."""
        return await self.request("DELETE", path, json=json, headers=headers)

    async def pages(self, path: str, **query: Any) -> AsyncIterator[list[Any]]:
        """Read a list to its end, page by page: the items of each."""
        cursor: str | None = None
        while True:
            page = await self.get(path, **query, cursor=cursor)
            yield page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return

    async def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
        repeatable: bool = False,
        signed: bool = True,
    ) -> Any:
        """Send, and give the answer's JSON, None where it has none; `repeatable` says that once more does no harm."""
        request = self._request(method, path, json, query, headers)
        repeatable = repeatable or method == "GET" or _takes_key(method, path)
        attempt = 0
        while True:
            try:
                return _json(await self._send(request, timeout_s or self._timeout_s, signed=signed))
            except ClientError as error:
                attempt += 1
                over = attempt >= self.backoff.tries or error.retry_after > self.backoff.most_s
                if over or not (repeatable and error.temporary):
                    raise
                pause = self.backoff.pause(attempt - 1, at_least=error.retry_after)
            await asyncio.sleep(pause)

    @asynccontextmanager
    async def stream(
        self, path: str, *, headers: Mapping[str, str], silence_s: float
    ) -> AsyncGenerator[httpx.Response]:
        """Read an answer while it comes; raises Unreachable where it breaks off, or is silent for so long."""
        request = self._request("GET", path, None, None, headers)
        request.extensions["timeout"] = httpx.Timeout(None, read=silence_s).as_dict()
        answer = await self._send(request, self._timeout_s, stream=True)
        try:
            yield answer
        except httpx.RequestError as error:
            raise Unreachable(f"{request.url.path} broke off") from error
        finally:
            await answer.aclose()

    def _request(
        self,
        method: str,
        path: str,
        json: Any,
        query: Mapping[str, Any] | None,
        headers: Mapping[str, str] | None,
    ) -> httpx.Request:
        """Write the request once: whenever it is sent again, under its key, it is the same to the byte."""
        given = {name: value for name, value in (query or {}).items() if value is not None}
        request = self._http.build_request(method, path, json=json, params=given, headers=headers)
        if _takes_key(method, path):
            request.headers.setdefault(KEY, str(uuid4()))
        return request

    async def _send(
        self, request: httpx.Request, timeout_s: float, *, signed: bool = True, stream: bool = False
    ) -> httpx.Response:
        """Send with a credential, and once more with a new one where an access token is refused."""
        refused: str | None = None
        while True:
            token = await self._sign(request, refused) if signed else None
            try:
                async with asyncio.timeout(timeout_s):
                    answer = await self._http.send(request, stream=stream)
                    if answer.is_success:
                        return answer
                    await answer.aread()
            except (httpx.RequestError, TimeoutError) as error:
                raise Unreachable(f"no answer to {request.method} {request.url.path}") from error
            problem = problem_of(answer)
            if token is None or refused is not None or problem.code != "invalid_token":
                raise problem
            refused = token

    async def _sign(self, request: httpx.Request, refused: str | None) -> str | None:
        if self._api_key is not None:
            request.headers["X-API-Key"] = self._api_key
            return None
        token = await self.session.access_token(refused=refused)
        request.headers["Authorization"] = f"Bearer {token}"
        return token

    async def _refresh(self, refresh_token: str) -> Any:
        return await self.request(
            "POST",
            "/auth/refresh",
            json={"refresh_token": refresh_token},
            timeout_s=REFRESH_TIMEOUT_S,
            repeatable=True,
            signed=False,
        )


def _takes_key(method: str, path: str) -> bool:
    return method == "POST" and TAKES_KEY.fullmatch(path) is not None


def _json(answer: httpx.Response) -> Any:
    try:
        return answer.json() if answer.content else None
    except ValueError as error:
        raise Problem(answer.status_code, {"code": "not_json"}) from error
