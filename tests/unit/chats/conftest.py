import pytest

from parlor.core.shared.actor import Actor
from tests.unit.chats.stage import Stage


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
async def ada(stage: Stage) -> Actor:
    return await stage.person()


@pytest.fixture
async def bob(stage: Stage) -> Actor:
    return await stage.person()


@pytest.fixture
async def eve(stage: Stage) -> Actor:
    return await stage.person()
