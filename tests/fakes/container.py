"""A container without adapters: commands answer what a test says, ports are what it puts there."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast, get_type_hints

import httpx
from starlette.types import ASGIApp, Receive, Scope, Send

from parlor.adapters.memory.throttle import MemoryThrottle
from parlor.config import Settings
from parlor.container import Container
from parlor.core.identity.api_keys import InvalidApiKey, KeyPrincipal
from parlor.core.identity.api_keys_use_cases import AuthenticateKey
from parlor.core.identity.model import InvalidToken, UserStatus
from parlor.core.identity.ports import Snapshot
from parlor.core.identity.throttling import Throttle
from parlor.core.identity.tickets import StandFor
from parlor.core.identity.use_cases import Authenticate, Principal
from parlor.core.shared.actor import Actor, ActorKind
from parlor.core.shared.health import Part
from parlor.core.shared.ids import ApiKeyId, SessionId, UserId, uuid7
from parlor.core.shared.meters import Meters
from parlor.core.shared.spans import Tracer
from parlor.entrypoints.http.app import make_app

TOKEN = "good-token"
KEY = "parlor_0123456789abcdef_a-good-key-for-tests"
WHEN = datetime(2026, 1, 1, 12, 30, 0, 123456, tzinfo=UTC)
USER_PERMISSIONS = frozenset({"tasks:create"})


def a_snapshot(permissions: frozenset[str] = USER_PERMISSIONS) -> Snapshot:
    session = SessionId(uuid7())
    return Snapshot(
        id=UserId(uuid7()),
        email="ada@example.org",
        email_verified=False,
        display_name="Ada",
        roles=("user",),
        permissions=permissions,
        status=UserStatus.ACTIVE,
        epoch=0,
        sessions=frozenset({session}),
        created_at=WHEN,
        updated_at=WHEN,
        version=3,
    )


def a_principal(permissions: frozenset[str] = USER_PERMISSIONS) -> Principal:
    user = a_snapshot(permissions)
    actor = Actor(kind=ActorKind.USER, id=user.id, user_id=user.id, permissions=permissions)
    return Principal(actor=actor, user=user, session_id=next(iter(user.sessions)))


@dataclass(slots=True)
class FakeAuthenticate:
    """Knows one token."""

    principal: Principal
    asked: list[str] = field(default_factory=list)

    async def __call__(self, token: str) -> Principal:
        self.asked.append(token)
        if token != TOKEN:
            raise InvalidToken
        return self.principal


@dataclass(slots=True)
class FakeAuthenticateKey:
    """Knows the keys that a test gives it."""

    principals: dict[str, KeyPrincipal] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def __call__(self, shown: str, *, network: str) -> KeyPrincipal:
        assert network == "127.0.0.1"
        self.asked.append(shown)
        if shown not in self.principals:
            raise InvalidApiKey
        return self.principals[shown]


@dataclass(slots=True)
class FakeContainer:
    """What `make_app` needs of a container."""

    settings: Settings
    authenticate: FakeAuthenticate = field(default_factory=lambda: FakeAuthenticate(a_principal()))
    authenticate_key: FakeAuthenticateKey = field(default_factory=FakeAuthenticateKey)
    commands: dict[object, Callable[..., Awaitable[Any]]] = field(default_factory=dict)
    ports: dict[object, object] = field(default_factory=dict)
    health: Mapping[str, Part] = field(default_factory=dict)
    life: list[str] = field(default_factory=list)
    stand_for: object = None
    meters: Meters = field(default_factory=Meters)
    tracer: Tracer | None = None
    throttle: Throttle = field(default_factory=lambda: MemoryThrottle(scale=1000))
    _built: dict[object, object] = field(default_factory=dict)

    def command(self, use_case: object) -> Callable[..., Awaitable[Any]]:
        async def run(*args: Any, **fields: Any) -> Any:
            return await self.commands[use_case](*args, **fields)

        return run

    def build(self, cls: Callable[..., object]) -> object:
        """Make it of the ports that are there."""
        if cls is Authenticate:
            return self.authenticate
        if cls is AuthenticateKey:
            return self.authenticate_key
        if cls is StandFor:
            return self.stand_for
        asked = get_type_hints(cls.__init__)
        return cls(**{name: self.get(port) for name, port in asked.items() if name != "return"})

    def built(self, cls: Callable[..., object]) -> object:
        """Make it once."""
        if cls not in self._built:
            self._built[cls] = self.build(cls)
        return self._built[cls]

    def get(self, port: object) -> object:
        given = {Throttle: self.throttle, Meters: self.meters}
        return given[port] if port in given else self.ports.get(port)

    def knows_key(self, *scopes: str, maker_id: UserId | None = None, shown: str = KEY) -> Actor:
        """Let a key in with these scopes."""
        actor = Actor(ActorKind.API_KEY, ApiKeyId(uuid7()), maker_id, frozenset(scopes))
        self.authenticate_key.principals[shown] = KeyPrincipal(actor)
        return actor

    async def start(self) -> None:
        self.life.append("started")

    async def close(self) -> None:
        self.life.append("closed")

    async def parts(self) -> Mapping[str, Part]:
        return self.health


def settings_for_tests(**given: object) -> Settings:
    """Settings as defaults have them, but for limits that only their own tests reach."""
    usual = {"PARLOR_ENV": "test", "PARLOR_THROTTLE_SCALE": 1000, "PARLOR_CONSOLE": False}
    return Settings(_env_file=None, **usual | given)  # type: ignore[arg-type]  # settings by name


def as_container(fake: FakeContainer) -> Container:
    return cast("Container", fake)


def a_client(fake: FakeContainer, **headers: str) -> httpx.AsyncClient:
    """Talk to an application that stands on this container."""
    transport = httpx.ASGITransport(on(fake))
    return httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers)


# To make an application takes longer than to test it: one for all tests with the same settings, each request of which
# asks the container of its own test.
_asked: ContextVar[FakeContainer] = ContextVar("_asked")
_applications: dict[str, ASGIApp] = {}


def on(fake: FakeContainer) -> ASGIApp:
    """Answer an application that asks this container, whatever it was made of."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        _asked.set(fake)
        await made(scope, receive, send)

    settings = fake.settings.model_dump_json()
    if settings not in _applications:
        copy_context().run(_make, fake, settings)
    made = _applications[settings]
    return application


def _make(fake: FakeContainer, settings: str) -> None:
    _asked.set(fake)
    _applications[settings] = make_app(cast("Container", Asked(fake.settings)))


@dataclass(frozen=True, slots=True)
class Asked:
    """Stands for the container of the test that asks."""

    settings: Settings
    tracer: Tracer | None = None

    def command(self, use_case: object) -> Callable[..., Awaitable[Any]]:
        return Looked(lambda: _asked.get().command(use_case))

    def build(self, cls: Callable[..., object]) -> object:
        return Looked(lambda: _asked.get().built(cls))

    def get(self, port: object) -> object:
        return Looked(lambda: _asked.get().get(port))

    async def parts(self) -> Mapping[str, Part]:
        return await _asked.get().parts()


class Looked:
    """Is what is looked up, anew each time."""

    def __init__(self, find: Callable[[], Any]) -> None:
        self._find = find

    def __getattr__(self, name: str) -> Any:
        return getattr(self._find(), name)

    def __call__(self, *args: Any, **fields: Any) -> Any:
        return self._find()(*args, **fields)

    def __bool__(self) -> bool:
        return bool(self._find())

    def __iter__(self) -> Iterator[Any]:
        return iter(self._find())


SIGNED_IN = {"authorization": f"Bearer {TOKEN}"}
WITH_KEY = {"x-api-key": KEY}
