"""Domain events in the document: every `Event` of the core, by its name."""

import inspect
import pkgutil
from collections.abc import Iterator
from importlib import import_module

from pydantic import TypeAdapter

import parlor.core
from parlor.adapters.rabbitmq.cloud_events import CLOUD_EVENTS, SEQUENCE_DIGITS, SOURCE, event_type
from parlor.core.shared.events import Event, told_as
from parlor.entrypoints.asyncapi.schemas import Json, lifted, reference

HEADERS = "EventHeaders"
TRACEPARENT: Json = {
    "type": "string",
    "pattern": "^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$",
    "description": "The trace that it belongs to (W3C Trace Context), where one is known.",
}


def all_events() -> dict[str, type[Event]]:
    """Find every event that a context tells, in every version, by its CloudEvents type."""
    for module in pkgutil.walk_packages(parlor.core.__path__, f"{parlor.core.__name__}."):
        if module.name.endswith(".events"):
            import_module(module.name)
    ours = (event for event in _kinds(Event) if event.__module__.startswith(f"{parlor.core.__name__}."))
    return {type_of(event): event for event in sorted(ours, key=lambda event: (event.name, event.version))}


def routing_keys() -> list[str]:
    """List what subscribers may bind to."""
    return list(dict.fromkeys(event.name for event in all_events().values()))


def event_messages() -> dict[str, Json]:
    """Write a message for each event."""
    return {kind: _message(kind, event) for kind, event in all_events().items()}


def event_schemas() -> dict[str, Json]:
    """Write the schemas of the events' bodies, and of the headers that all of them have."""
    schemas = {HEADERS: _headers()}
    for kind, event in all_events().items():
        schemas |= lifted(kind, _body(event))
    return schemas


def _body(event: type[Event]) -> Json:
    """Describe the fields, each as it travels."""
    schema = TypeAdapter(event).json_schema(mode="serialization")
    told = {told_as(name): field for name, field in schema.get("properties", {}).items()}
    return schema | {"properties": told, "required": [told_as(name) for name in schema.get("required", [])]}


def type_of(event: type[Event]) -> str:
    """Name an event and its version."""
    return event_type(event.name, event.version)


def _kinds(base: type[Event]) -> Iterator[type[Event]]:
    for kind in base.__subclasses__():
        yield kind
        yield from _kinds(kind)


def _message(kind: str, event: type[Event]) -> Json:
    told = inspect.cleandoc(event.__doc__ or "")
    subject = inspect.cleandoc(event.subject.__doc__ or "").rstrip(".").lower()
    versioned = {"properties": {f"{CLOUD_EVENTS}type": {"const": kind}}}
    return {
        "name": event.name,
        "title": event.__name__,
        "summary": told.splitlines()[0],
        "description": f"Routing key `{event.name}`. `{CLOUD_EVENTS}subject` is the id of {subject}.",
        "contentType": "application/json",
        "headers": {"allOf": [reference("schemas", HEADERS), versioned]},
        "payload": reference("schemas", kind),
    }


def _headers() -> Json:
    attributes: dict[str, Json] = {
        "specversion": {"const": "1.0"},
        "id": {
            "type": "string",
            "format": "uuid",
            "description": "The event's id, the same on every repetition; `message_id` has it too.",
        },
        "source": {"const": SOURCE},
        "type": {"type": "string", "description": "The event and the version of its fields."},
        "subject": {"type": "string", "format": "uuid", "description": "The aggregate that it happened to."},
        "time": {"type": "string", "format": "date-time", "description": "When it happened, in UTC."},
        "sequence": {
            "type": "string",
            "pattern": f"^[0-9]{{{SEQUENCE_DIGITS}}}$",
            "description": "The number of the aggregate's event: it rises in commit order, also as text.",
        },
    }
    named = {f"{CLOUD_EVENTS}{name}": schema for name, schema in attributes.items()}
    return {
        "type": "object",
        "description": "CloudEvents 1.0 in binary mode.",
        "properties": {**named, "traceparent": TRACEPARENT},
        "required": list(named),
    }
