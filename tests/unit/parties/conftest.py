"""A stage with people on it."""

import pytest

from parlor.core.shared.actor import Actor
from tests.unit.parties.stage import Stage


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
def ada(stage: Stage) -> Actor:
    return stage.person()


@pytest.fixture
def bob(stage: Stage) -> Actor:
    return stage.person()


@pytest.fixture
def cleo(stage: Stage) -> Actor:
    return stage.person()
