"""The console's door: the form, the login, and the way out."""

from pydantic import ValidationError
from sqladmin.templating import Jinja2Templates
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from parlor.container import Container
from parlor.core.identity.attempts import NoteRefusedLogin
from parlor.core.identity.console import EnterConsole, Visit
from parlor.core.identity.history import Method
from parlor.core.identity.model import InvalidCredentials
from parlor.core.identity.throttling import LOGIN_BY_ADDRESS, Throttle
from parlor.core.identity.use_cases import LogOut, LogoutScope
from parlor.core.shared.actor import PermissionMissing
from parlor.core.shared.errors import Busy, ParlorError, TooMany
from parlor.entrypoints.admin import cookies
from parlor.entrypoints.admin.gate import LOGIN, Papers
from parlor.entrypoints.admin.visits import Asked, asked_of, principal_of
from parlor.entrypoints.http.call import call_of
from parlor.entrypoints.http.errors import status_of
from parlor.entrypoints.http.identity import Credentials

HOME = f"{cookies.PATH}/"
ODD = ("\\", "//", "..")


class Doors:
    """Signing in and out, by the use cases that everybody's sessions are opened and ended with."""

    def __init__(self, container: Container, papers: Papers, templates: Jinja2Templates) -> None:
        self._enter = container.command(EnterConsole)
        self._leave = container.command(LogOut)
        self._note_refused = container.command(NoteRefusedLogin)
        self._throttle = container.get(Throttle)
        self._papers = papers
        self._templates = templates

    @property
    def routes(self) -> list[Route]:
        """List the routes."""
        return [
            Route("/login", self.login, methods=["GET", "POST"], name="login"),
            Route("/logout", self.logout, methods=["POST"], name="logout"),
        ]

    async def login(self, request: Request) -> Response:
        """Show the form, or open a session: always a new one, whatever cookies came."""
        asked = asked_of(request)
        if request.method != "POST":
            if asked.principal is not None:
                return RedirectResponse(HOME, status_code=303)
            return await self._form(request)
        try:
            visit = await self._let_in(asked)
        except (InvalidCredentials, PermissionMissing, TooMany, Busy) as error:
            call_of(request.scope).code = error.code
            return await self._form(request, error)
        asked.cookies = [self._papers.let_in(visit), self._papers.jar.erase(cookies.FORM)]
        return RedirectResponse(inside(asked.value("next")), status_code=303)

    async def logout(self, request: Request) -> Response:
        """End the session itself: the cookie is worth nothing from then on."""
        asked = asked_of(request)
        await self._leave(principal_of(request), scope=LogoutScope.THIS, client=asked.client)
        asked.cookies = [self._papers.jar.erase(name) for name in (cookies.SESSION, cookies.FLASH)]
        return RedirectResponse(f"{LOGIN}?out=1", status_code=303)

    async def _let_in(self, asked: Asked) -> Visit:
        try:
            given = Credentials(email=asked.value("username"), password=asked.value("password"))
        except ValidationError:
            raise InvalidCredentials from None
        network = asked.client.network
        try:
            await self._throttle.take(LOGIN_BY_ADDRESS, network)
        except TooMany:
            await self._note_refused(email=given.email, client=asked.client, method=Method.CONSOLE)
            raise
        visit = await self._enter(email=given.email, password=given.password, client=asked.client)
        await self._throttle.give_back(LOGIN_BY_ADDRESS, network)
        return visit

    async def _form(self, request: Request, error: ParlorError | None = None) -> Response:
        asked = asked_of(request)
        context = {
            "error": error,
            "email": asked.value("username"),
            "next": inside(asked.value("next") or request.query_params.get("next", "")),
            "out": "out" in request.query_params,
        }
        status = 200 if error is None else status_of(type(error))
        answer = await self._templates.TemplateResponse(request, "sqladmin/login.html", context, status)
        if isinstance(error, TooMany | Busy):
            answer.headers["Retry-After"] = str(error.retry_after)
        return answer


def inside(path: str) -> str:
    """Answer a path of the console, and its home for anything else: nobody is led away from here."""
    plain = path.isascii() and path.isprintable() and not any(odd in path for odd in ODD)
    return path if plain and path.startswith(HOME) else HOME
