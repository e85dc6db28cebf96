"""The published document is valid AsyncAPI 3, by the schema that the AsyncAPI project publishes."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema.validators import validator_for

from parlor.config import Settings
from parlor.entrypoints.asyncapi.document import published
from tests.nodejs import ASYNCAPI_SPECS, node_modules

Json = dict[str, Any]


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Fetch the schema from npm's registry."""
    packages = node_modules(tmp_path_factory.mktemp("specs"), ASYNCAPI_SPECS)
    schema: Json = json.loads(Path(packages / "@asyncapi/specs/schemas/3.0.0.json").read_text())
    return validator_for(schema)(schema)


def test_the_document_is_valid(official: Any) -> None:
    assert [error.message for error in official.iter_errors(published(Settings.model_construct()))] == []


@pytest.mark.parametrize(
    ("place", "wrong"),
    [
        (("asyncapi",), "2.6.0"),
        (("channels", "tasks", "bindings", "amqp", "is"), "exchange"),
        (("operations", "takeTasks", "action"), "subscribe"),
        (("components", "messages", "deadLetter", "header"), {}),
    ],
    ids=lambda value: ".".join(value) if isinstance(value, tuple) else "",
)
def test_what_is_wrong_is_seen(official: Any, place: tuple[str, ...], wrong: object) -> None:
    document = copy.deepcopy(published(Settings.model_construct()))
    *path, last = place
    inner: Any = document
    for part in path:
        inner = inner[part]
    inner[last] = wrong
    assert not official.is_valid(document)
