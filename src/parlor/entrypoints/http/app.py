"""The HTTP application: routes of every context behind one edge."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI

from parlor.container import Container
from parlor.core.identity.api_keys_use_cases import AuthenticateKey
from parlor.core.identity.throttling import Throttle
from parlor.core.identity.tickets import RedeemTicket, StandFor
from parlor.core.identity.use_cases import Authenticate
from parlor.core.shared.meters import Meters
from parlor.entrypoints.http.accounts import account_routes
from parlor.entrypoints.http.api_keys import api_key_routes
from parlor.entrypoints.http.bootstrap import bootstrap_key
from parlor.entrypoints.http.chats import chat_member_routes, chat_routes
from parlor.entrypoints.http.clients import Proxies
from parlor.entrypoints.http.dead_letters import dead_letter_routes
from parlor.entrypoints.http.dispatch import Dispatch
from parlor.entrypoints.http.docs_pages import install_asyncapi, install_docs
from parlor.entrypoints.http.errors import install_error_handlers
from parlor.entrypoints.http.health import health_routes
from parlor.entrypoints.http.identity import identity_routes
from parlor.entrypoints.http.invitations import guest_routes, invitation_routes
from parlor.entrypoints.http.logins import login_routes
from parlor.entrypoints.http.messages import message_routes, reaction_routes, reading_routes
from parlor.entrypoints.http.metrics import metrics_routes
from parlor.entrypoints.http.middleware import Edge
from parlor.entrypoints.http.oauth import key_set_routes, oauth_routes
from parlor.entrypoints.http.openapi import install_openapi
from parlor.entrypoints.http.parties import party_change_routes, party_routes
from parlor.entrypoints.http.party_members import party_member_routes
from parlor.entrypoints.http.realtime import realtime_routes
from parlor.entrypoints.http.realtime_socket import realtime_socket_route
from parlor.entrypoints.http.registration import registration_routes
from parlor.entrypoints.http.roles import role_routes
from parlor.entrypoints.http.schedules import schedule_routes
from parlor.entrypoints.http.sessions import session_routes
from parlor.entrypoints.http.task_events import task_event_routes
from parlor.entrypoints.http.tasks import task_routes, task_steering_routes
from parlor.entrypoints.http.users import user_routes

DESCRIPTION = (
    "Accounts with roles, parties, chats, and background tasks. Errors are RFC 9457 problems; times are UTC. "
    "`GET /api/v1/realtime` upgrades to a WebSocket, opened with a ticket of `POST /api/v1/realtime/tickets` or an "
    "`Authorization` header: JSON frames, for chats and tasks as they change."
)


def make_app(container: Container, *, owns_container: bool = True) -> FastAPI:
    """Make the application; it starts and closes the container unless somebody else does."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if owns_container:
            await container.start()
        try:
            async with bootstrap_key(container):
                yield
        finally:
            if owns_container:
                await container.close()

    app = FastAPI(
        title="Parlor",
        version=version("parlor"),
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        # Ours instead: theirs know no actor, leave out our routes' own handlers, and tell addresses, paths and queries.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    _install(app, container)
    return app


def _install(app: FastAPI, container: Container) -> None:
    app.state.authenticate = container.build(Authenticate)
    app.state.authenticate_key = container.build(AuthenticateKey)
    app.state.redeem = container.command(RedeemTicket)
    app.state.stand_for = container.build(StandFor)
    app.state.throttle = container.get(Throttle)
    app.state.proxies = Proxies(container.settings.trusted_proxies)
    # Their routes are taken over as they are: an included router would match each request twice.
    contexts = (
        identity_routes,
        registration_routes,
        account_routes,
        login_routes,
        session_routes,
        oauth_routes,
        api_key_routes,
        task_routes,
        task_steering_routes,
        task_event_routes,
        schedule_routes,
        message_routes,
        reading_routes,
        reaction_routes,
        chat_routes,
        chat_member_routes,
        dead_letter_routes,
        party_routes,
        party_change_routes,
        party_member_routes,
        invitation_routes,
        guest_routes,
        realtime_routes,
        role_routes,
        user_routes,  # behind everything about `/users/me`, which would read as an id
        health_routes,
        metrics_routes,
        key_set_routes,
    )
    for make_routes in contexts:
        app.router.routes += make_routes(container).routes
    app.router.routes.append(realtime_socket_route(container))
    if container.settings.docs_shown:
        install_docs(app)
    install_asyncapi(app, container.settings)
    if container.settings.console:
        _install_console(app, container)
    app.add_middleware(Dispatch, routes=app.router.routes)
    app.add_middleware(
        Edge, settings=container.settings, meters=container.get(Meters), tracer=container.tracer
    )
    install_error_handlers(app)
    install_openapi(app)


def _install_console(app: FastAPI, container: Container) -> None:
    # Imported here: the command line imports this module for every process, and not all of them serve a console.
    from parlor.entrypoints.admin.app import install_console  # noqa: PLC0415 - said above

    install_console(app, container)
