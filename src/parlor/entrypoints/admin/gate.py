"""The console's gate: nothing behind it is reached without a session, or changed without its form's token."""

import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from urllib.parse import parse_qs, quote, unquote, urlsplit
from uuid import UUID

from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from parlor.config import Settings
from parlor.core.identity.console import StandInConsole, Visit, must_manage_something
from parlor.core.identity.model import InvalidToken
from parlor.core.shared.errors import Forbidden, Invalid, Unauthenticated
from parlor.core.shared.ids import SessionId, UserId
from parlor.entrypoints.admin import cookies
from parlor.entrypoints.admin.cookies import Jar, cookies_of
from parlor.entrypoints.admin.seals import Seals
from parlor.entrypoints.admin.visits import CSRF, KEY, Asked, Form, principal_in
from parlor.entrypoints.http.body import media_type, must_be_plain, read_body
from parlor.entrypoints.http.call import Call, call_of
from parlor.entrypoints.http.clients import Proxies
from parlor.entrypoints.http.errors import FRAMEWORKS_OWN, BadRequest

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
ASSETS = f"{cookies.PATH}/statics/"
LOGIN = f"{cookies.PATH}/login"
LOGOUT = f"{cookies.PATH}/logout"
KEPT_BY_BROWSERS = (
    b"cache-control",
    b"public, no-cache",
)  # asked for anew: after an upgrade none is an old one
SAFE = frozenset({"GET", "HEAD"})
SEEN_EVERY_S = 60.0
MOST_FIELDS = 2_000
FORM = "application/x-www-form-urlencoded"
OLD_FORM = "This form is too old, or was not sent by this console. Go back, load the page again and send it once more."
FOREIGN = "Another site tried to send a form to the console. Nothing was done."

Show = Callable[[Request, Exception], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Papers:
    """What is sealed for browsers: visits, forms, and sentences for the next page."""

    visits: Seals
    forms: Seals
    flashes: Seals
    jar: Jar

    @classmethod
    def of(cls, settings: Settings) -> "Papers":
        """Make them under the server's secrets."""
        names = ("visit", "form", "flash")
        visits, forms, flashes = (Seals(name, settings.secrets) for name in names)
        return cls(visits, forms, flashes, Jar(settings))

    def let_in(self, visit: Visit) -> str:
        """Write the cookie that a visit is known by."""
        told = [str(visit.user_id), str(visit.session_id), visit.epoch, visit.came_at, visit.seen_at]
        return self.jar.keep(cookies.SESSION, self.visits.seal(told))

    def visit_in(self, kept: dict[str, str]) -> Visit | None:
        """Read that cookie; None where it is none of ours."""
        told = self.visits.open(kept.get(cookies.SESSION))
        if told is None:
            return None
        user_id, session_id, epoch, came_at, seen_at = told
        return Visit(UserId(UUID(user_id)), SessionId(UUID(session_id)), epoch, came_at, seen_at)


class Gate:
    """Stands before the console's routes: pure ASGI. Errors of both become pages by `show`."""

    def __init__(
        self, app: ASGIApp, settings: Settings, papers: Papers, stand_in: StandInConsole, show: Show
    ) -> None:
        self._app = app
        self._papers = papers
        self._stand_in = stand_in
        self._proxies = Proxies(settings.trusted_proxies)
        self._own = urlsplit(settings.public_url or "")
        self._guarded = ExceptionMiddleware(self._pass, handlers={FRAMEWORKS_OWN: show, Exception: show})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request pass, or answer it with a page; every answer bears the console's own policy."""
        scope[KEY] = asked = Asked(self._proxies.client_of(call_of(scope), scope), csrf="")
        await self._guarded(scope, receive, self._marking(asked, scope, send))

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not scope["path"].startswith(ASSETS):
            answer = await self._admitted(call_of(scope), scope, receive)
            if answer is not None:
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _admitted(self, call: Call, scope: Scope, receive: Receive) -> Response | None:
        """Find out who asks, and check what is sent; answers where somebody who is not signed in is sent to."""
        asked, kept = scope[KEY], cookies_of(call)
        _must_be_text(scope["path"], unquote(scope["query_string"].decode("latin-1")))
        if scope["method"] not in SAFE:
            self._must_be_ours(call)
        signed_in = await self._recognise(asked, kept)
        call.principal = asked.principal  # for the log
        if not signed_in and scope["path"] != LOGIN:
            return _to_the_door(call, scope)
        if not signed_in:
            self._prepare_form(asked, kept)
        if scope["method"] not in SAFE:
            asked.form = await _form(call, receive)
            if not self._papers.forms.marked(self._form_subject(asked, kept), asked.value(CSRF)):
                raise Forbidden(OLD_FORM)
        if signed_in and scope["path"] != LOGOUT:
            must_manage_something(principal_in(asked).actor.permissions)
        return None

    async def _recognise(self, asked: Asked, kept: dict[str, str]) -> bool:
        visit = self._papers.visit_in(kept)
        if visit is None:
            return False
        try:
            asked.principal = await self._stand_in(visit)
        except InvalidToken:
            asked.cookies.append(self._papers.jar.erase(cookies.SESSION))
            return False
        asked.csrf = self._papers.forms.mark(str(visit.session_id))
        asked.told = self._told(asked, kept)
        now = time.time()
        if now - visit.seen_at >= SEEN_EVERY_S:
            asked.cookies.append(self._papers.let_in(replace(visit, seen_at=now)))
        return True

    def _told(self, asked: Asked, kept: dict[str, str]) -> list[tuple[str, str]]:
        told = self._papers.flashes.open(kept.get(cookies.FLASH))
        if told is None or asked.principal is None or told[0] != str(asked.principal.session_id):
            return []
        return [(tone, sentence) for tone, sentence in told[1:]]

    def _prepare_form(self, asked: Asked, kept: dict[str, str]) -> None:
        """Give the login's form a token too: bound to a cookie, since there is no session yet."""
        if not kept.get(cookies.FORM):
            kept[cookies.FORM] = secrets.token_urlsafe(24)
            asked.cookies.append(self._papers.jar.keep(cookies.FORM, kept[cookies.FORM]))
        asked.csrf = self._papers.forms.mark(self._form_subject(asked, kept))

    @staticmethod
    def _form_subject(asked: Asked, kept: dict[str, str]) -> str:
        if asked.principal is not None:
            return str(asked.principal.session_id)
        return f"login:{kept.get(cookies.FORM)}"

    def _must_be_ours(self, call: Call) -> None:
        """Raise Forbidden where a browser says that another site sends this."""
        site, origin = call.header(b"sec-fetch-site"), call.header(b"origin")
        if site not in {None, "same-origin", "none"}:
            raise Forbidden(FOREIGN)
        if origin is None:
            return
        parts = urlsplit(origin)
        known = {call.header(b"host"), self._own.netloc}
        if parts.scheme not in {"http", "https"} or parts.netloc not in known:
            raise Forbidden(FOREIGN)

    def _marking(self, asked: Asked, scope: Scope, send: Send) -> Send:
        """Wrap `send`: answers bear the policy, and set what cookies the request brought about."""

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message["headers"], (b"content-security-policy", POLICY.encode())]
                if scope["path"].startswith(ASSETS) and message["status"] == 200:  # noqa: PLR2004 - HTTP's own number
                    headers.append(KEPT_BY_BROWSERS)
                lines = (*asked.cookies, *self._flash(asked, message["status"]))
                message["headers"] = [*headers, *((b"set-cookie", line.encode()) for line in lines)]
            await send(message)

        return marked

    def _flash(self, asked: Asked, status: int) -> list[str]:
        if asked.tells and asked.principal is not None:
            told = [str(asked.principal.session_id), *asked.tells]
            return [self._papers.jar.keep(cookies.FLASH, self._papers.flashes.seal(told))]
        shown = asked.told and status < 300  # noqa: PLR2004 - HTTP's own number
        return [self._papers.jar.erase(cookies.FLASH)] if shown else []


def _to_the_door(call: Call, scope: Scope) -> Response:
    """Send a browser to the login, and back afterwards; a script of ours is told that the session ended."""
    if call.header(b"sec-fetch-mode") not in {None, "navigate"}:
        raise Unauthenticated("You are signed out.")
    back = scope["path"] if scope["method"] in SAFE else f"{cookies.PATH}/"
    return RedirectResponse(f"{LOGIN}?next={quote(back)}", status_code=303)


async def _form(call: Call, receive: Receive) -> Form:
    """Read the form; what is none has no fields, and so no token."""
    must_be_plain(call)
    raw = await read_body(receive) if call.has_body else b""
    if media_type(call) != (FORM, True):
        return {}
    try:
        form = parse_qs(raw.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict")
    except ValueError:
        raise BadRequest("This form cannot be read.") from None
    _must_be_text(*(value for values in form.values() for value in values))
    return form


def _must_be_text(*values: str) -> None:
    """Raise Invalid for what PostgreSQL cannot hold in a text."""
    if any("\0" in value for value in values):
        raise Invalid("This holds a control character.")
