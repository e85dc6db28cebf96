"""The published AsyncAPI document says what the code does, all of it."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any
from uuid import UUID

import pytest
from pydantic import TypeAdapter

from parlor.adapters.rabbitmq.topology import QUEUES, Names
from parlor.config import Settings
from parlor.container import kinds_of
from parlor.core.shared.events import Event, told_as
from parlor.core.tasks.foreign import Producers
from parlor.core.tasks.reasons import Reason
from parlor.entrypoints.asyncapi.document import describe, published, written
from parlor.entrypoints.asyncapi.events import all_events, type_of
from parlor.entrypoints.asyncapi.schemas import lifted
from tests.architecture.source import PACKAGE, ROOT
from tests.fakes.container import settings_for_tests

Json = dict[str, Any]
PAGE = ROOT / "docs/asyncapi.json"
PRODUCERS = (ROOT / "docs/producers.md").read_text()
DOCUMENT: Json = json.loads(PAGE.read_text())


@dataclass(frozen=True, slots=True)
class Founded(Event):
    """Something was founded."""

    name = "tests.founded"
    thing_id: UUID
    seats: int | None


@dataclass(frozen=True, slots=True)
class Silent(Event):
    name = "tests.silent"

    @property
    def subject(self) -> UUID:
        """The thing."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Vague(Event):
    """Something was told."""

    name = "tests.vague"
    anything: object

    @property
    def subject(self) -> UUID:
        """The thing."""
        raise NotImplementedError


def references(value: Any) -> Iterator[str]:
    match value:
        case {"$ref": str(target)}:
            yield target
        case dict():
            for each in value.values():
                yield from references(each)
        case list():
            for each in value:
                yield from references(each)
        case _:
            pass


def found(document: Json, reference: str) -> Any:
    place: Any = document
    for part in reference.removeprefix("#/").split("/"):
        place = place[part]
    return place


def test_the_document_is_the_one_that_the_code_makes() -> None:
    made = written(published(Settings.model_construct())) + "\n"
    assert PAGE.read_text() == made, "run: make docs"


def test_it_says_what_the_settings_say() -> None:
    told = published(settings_for_tests(PARLOR_NAMESPACE="films", PARLOR_PRODUCER_KINDS="truth_or_dare"))
    assert told["channels"]["films.tasks.high"]["bindings"]["amqp"]["queue"]["name"] == "films.tasks.high"
    assert told["channels"]["tasks"]["bindings"]["amqp"]["exchange"]["name"] == "films.tasks"
    assert list(told["channels"]["tasks"]["messages"]) == ["task.truth_or_dare"]
    assert "parlor.tasks.task_succeeded.v1" in told["components"]["messages"]


def test_every_reference_leads_somewhere() -> None:
    targets = set(references(DOCUMENT))
    assert len(targets) > 10
    for target in targets:
        assert found(DOCUMENT, target)


def test_every_event_of_the_source_is_in_it() -> None:
    """Told apart by reading the files: an event that nothing imports is found, too."""
    files = (PACKAGE / "core").glob("*/events.py")
    named = {
        name
        for file in files
        for name in re.findall(r'^    name = "([^"]+)"', file.read_text(), re.MULTILINE)
    }
    assert "tasks.task_succeeded" in named
    assert {message["name"] for message in DOCUMENT["components"]["messages"].values()} >= named
    assert set(DOCUMENT["channels"]["events"]["parameters"]["event"]["enum"]) == named
    assert set(DOCUMENT["channels"]["events"]["messages"]) == {
        type_of(event) for event in all_events().values()
    }


def described(event: type[Event]) -> bool:
    """Whether subscribers are told what happened, to what, and what each field holds."""
    properties = TypeAdapter(event).json_schema(mode="serialization").get("properties", {})
    made_by_dataclass = (event.__doc__ or "").startswith(f"{event.__name__}(")
    typed = all({"type", "anyOf", "$ref", "const"} & one.keys() for one in properties.values())
    return not made_by_dataclass and "subject" in vars(event) and bool(event.subject.__doc__) and typed


def test_every_event_says_what_happened_to_what_and_what_its_fields_are() -> None:
    assert [name for name, event in all_events().items() if not described(event)] == []


@pytest.mark.parametrize("event", [Silent, Founded, Vague])
def test_an_event_that_says_less_is_seen(event: type[Event]) -> None:
    assert not described(event)


def test_a_new_version_of_an_event_stands_beside_the_old_one() -> None:
    class FoundedAnew(Founded):
        """Something was founded, again."""

        version = 2

    assert (type_of(Founded), type_of(FoundedAnew)) == ("parlor.tests.founded.v1", "parlor.tests.founded.v2")


def test_every_reason_is_in_it_and_on_the_page() -> None:
    enum = DOCUMENT["components"]["schemas"]["DeadLetterHeaders"]["properties"]["x-parlor-reason"]["enum"]
    assert enum == [str(reason) for reason in Reason]
    assert [reason for reason in Reason if f"| `{reason}` | {reason.meaning} |\n" not in PRODUCERS] == []


def test_every_event_is_on_the_page_with_its_fields() -> None:
    rows = [
        f"| `{event.name}` | {', '.join(f'`{told_as(field.name)}`' for field in fields(event))} |\n"
        for event in all_events().values()
    ]
    assert [row for row in rows if row not in PRODUCERS] == []


def test_every_exchange_and_queue_is_in_it_as_it_is_declared() -> None:
    names = Names("parlor")
    bindings = [channel["bindings"]["amqp"] for channel in DOCUMENT["channels"].values()]
    exchanges = {one["exchange"]["name"]: one["exchange"]["type"] for one in bindings if "exchange" in one}
    assert exchanges == names.exchanges()
    arguments = {name: DOCUMENT["channels"][name]["x-queue-arguments"] for name in names.queues()}
    assert arguments == names.queues()
    assert DOCUMENT["channels"]["tasks"]["parameters"]["priority"]["enum"] == list(QUEUES)


def test_kinds_that_producers_may_not_run_are_not_in_it() -> None:
    made = describe(kinds_of(settings_for_tests()), Producers(kinds=frozenset()), "parlor")
    assert made["channels"]["tasks"]["messages"] == {}
    assert [name for name in made["components"]["schemas"] if "http_request" in name] == []


def test_schemas_that_define_others_are_taken_apart() -> None:
    schema = {
        "properties": {"a": {"$ref": "#/$defs/A"}, "many": {"items": [{"$ref": "#/$defs/A"}]}},
        "$defs": {"A": {"properties": {"b": {"$ref": "#/$defs/B"}}}, "B": {"type": "string"}},
    }
    a, b = {"$ref": "#/components/schemas/x.A"}, {"$ref": "#/components/schemas/x.B"}
    assert lifted("x", schema) == {
        "x": {"properties": {"a": a, "many": {"items": [a]}}},
        "x.A": {"properties": {"b": b}},
        "x.B": {"type": "string"},
    }
