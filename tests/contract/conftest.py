"""Every test of a unit of work runs on both stores."""

import pytest

from tests.contract.backends import Backend, FakeBackend, SqlBackend
from tests.sql import Sql


@pytest.fixture(params=["fake", "sql"])
def backend(request: pytest.FixtureRequest) -> Backend:
    if request.param == "fake":
        return FakeBackend()
    return SqlBackend(Sql(request.getfixturevalue("database")))
