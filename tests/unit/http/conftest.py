"""An application over a fake container, and clients of it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest

from parlor.core.identity.ports import PublicKeys
from parlor.core.tasks.kinds import Kinds
from parlor.core.tasks.letters import DiscardDeadLetter, ReplayDeadLetter
from parlor.core.tasks.ports import LetterViews, TaskViews
from parlor.core.tasks.use_cases import EnqueueTask
from parlor.core.tasks.waiting import Ends
from tests.fakes.container import SIGNED_IN, FakeContainer, a_client, a_principal, settings_for_tests
from tests.unit.http.letter_fakes import FakeLetters
from tests.unit.http.task_fakes import Enqueue, FakeHandler, FakePayloads, FakeViews, HintedEnds


@pytest.fixture
def views() -> FakeViews:
    return FakeViews()


@pytest.fixture
def enqueue() -> Enqueue:
    return Enqueue()


@pytest.fixture
def letters() -> FakeLetters:
    return FakeLetters()


@pytest.fixture
def fake(views: FakeViews, enqueue: Enqueue, letters: FakeLetters) -> FakeContainer:
    handlers = {kind: FakeHandler(kind, need) for kind, need in {"b": "tasks:create:b", "a": None}.items()}
    ports: dict[object, object] = {
        TaskViews: views,
        LetterViews: letters,
        Ends: HintedEnds(),
        PublicKeys: PublicKeys([]),
        Kinds: Kinds(handlers, FakePayloads()),  # type: ignore[arg-type]  # what the route asks of them
    }
    settings = settings_for_tests(PARLOR_MAX_BODY_BYTES=4096)
    commands: dict[object, Callable[..., Awaitable[Any]]] = {
        EnqueueTask: enqueue,
        ReplayDeadLetter: letters.replay,
        DiscardDeadLetter: letters.discard,
    }
    return FakeContainer(settings, ports=ports, commands=commands)


@pytest.fixture
async def client(fake: FakeContainer) -> AsyncIterator[httpx.AsyncClient]:
    """Sign nobody in."""
    async with a_client(fake) as client:
        yield client


@pytest.fixture
async def ada(fake: FakeContainer) -> AsyncIterator[httpx.AsyncClient]:
    """Sign a user in."""
    async with a_client(fake, **SIGNED_IN) as client:
        yield client


@pytest.fixture
async def manager(fake: FakeContainer) -> AsyncIterator[httpx.AsyncClient]:
    """Sign somebody in who manages tasks."""
    fake.authenticate.principal = a_principal(frozenset({"tasks:manage"}))
    async with a_client(fake, **SIGNED_IN) as client:
        yield client
