"""The console, put behind its gate and under `/admin`."""

from fastapi import FastAPI
from starlette.responses import RedirectResponse
from starlette.routing import Mount, Route
from starlette.types import Receive, Scope, Send

from parlor.container import Container
from parlor.core.identity.console import StandInConsole
from parlor.entrypoints.admin import cookies
from parlor.entrypoints.admin.console import Console
from parlor.entrypoints.admin.gate import Gate, Papers
from parlor.entrypoints.admin.operations import OperationsPage
from parlor.entrypoints.admin.people import ApiKeys, Logins, Roles, Sessions, Users
from parlor.entrypoints.admin.role_forms import RoleForms
from parlor.entrypoints.admin.social import Chats, Messages, Parties
from parlor.entrypoints.admin.work import DeadLetters, Schedules, Tasks
from parlor.wiring.console import wire_console

LISTS = (
    Users,
    Roles,
    Sessions,
    ApiKeys,
    Logins,
    Parties,
    Chats,
    Messages,
    Tasks,
    Schedules,
    DeadLetters,
)


def install_console(app: FastAPI, container: Container) -> None:
    """Add it behind all other routes: they pay nothing for it."""
    papers = Papers.of(container.settings)
    console = make_console(container, papers)
    gate = Gate(
        console.admin.router, container.settings, papers, container.build(StandInConsole), console.show_error
    )
    app.router.routes += [
        Route(cookies.PATH, _home, methods=None, include_in_schema=False),
        ConsoleMount(cookies.PATH, gate, console),
    ]


def make_console(container: Container, papers: Papers) -> Console:
    """List the pages, in the menu's order."""
    console = Console(container, papers, wire_console(container, container.settings))
    console.add_page(OperationsPage)
    console.add_lists(LISTS)
    console.add_page(RoleForms)
    return console


class ConsoleMount(Mount):
    """The gate at its path; names are looked up in the console's routes behind it."""

    def __init__(self, path: str, gate: Gate, console: Console) -> None:
        super().__init__(path, app=console.admin.router, name="admin")
        self.app = gate


class _Home:
    """Lead from the path without its slash to the one that has it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await RedirectResponse(f"{cookies.PATH}/", status_code=308)(scope, receive, send)


_home = _Home()
