"""Orders of tasks, and what comes back of those that cannot be taken, in the document."""

from collections.abc import Mapping

from parlor.adapters.rabbitmq.refusal import (
    DEATHS,
    DETAIL,
    LETTER as LETTER_ID,
    LONGEST_DETAIL,
    PREFIX,
    REASON,
    TAKEN_OUT,
)
from parlor.core.tasks.foreign import Producers
from parlor.core.tasks.kinds import Kinds
from parlor.core.tasks.ports import AnyHandler
from parlor.core.tasks.reasons import Reason
from parlor.entrypoints.asyncapi.events import TRACEPARENT
from parlor.entrypoints.asyncapi.schemas import AT, Json, lifted, reference
from parlor.entrypoints.consume_worker.bodies import MAX_BODY_BYTES
from parlor.entrypoints.consume_worker.cloud_events import PREFIXES, SPECVERSION, TYPES
from parlor.entrypoints.consume_worker.messages import TaskMessage

ORDER, HEADERS, LETTER_HEADERS = "TaskMessage", "TaskHeaders", "DeadLetterHeaders"
LETTER = "deadLetter"
ID = {"type": "string", "format": "uuid"}
PROPERTIES: Json = {
    "message_id": {**ID, "description": "The task's id, chosen by the producer: the idempotency key."},
    "content_type": {"description": "`application/json`, `…+json`, or none."},
    "delivery_mode": {"const": 2, "description": "Persistent, or the broker may lose it."},
    "correlation_id": {"type": "string", "description": "The producer's own; it is not read."},
}
REASONS = "\n".join(f"- `{reason}`: {reason.meaning}" for reason in Reason)
LETTER_TOLD = (
    "The body is the original one, byte for byte, and so are its properties, but "
    f"{' and '.join(f'`{name}`' for name in TAKEN_OUT)}: the broker would not take them, so they stand in headers. "
    f"Its routing key is the original one. What the broker itself moved carries `{DEATHS}` in place of `{REASON}`."
)


def task_messages(kinds: Kinds, producers: Producers) -> dict[str, Json]:
    """Write a message for each kind that producers may ask for."""
    return {_name(kind): _message(kind) for kind in _open(kinds, producers)}


def task_schemas(kinds: Kinds, producers: Producers) -> dict[str, Json]:
    """Write the schemas of an order, its headers, and each kind's payload and result."""
    schemas = {HEADERS: _headers(), **lifted(ORDER, TaskMessage.model_json_schema())}
    for kind in _open(kinds, producers):
        payload, result = kinds.payloads.describe(kind)
        schemas |= lifted(f"{kind}.payload", payload) | lifted(f"{kind}.result", result)
    return schemas


def letter_message() -> Json:
    """Write what comes out at the other end."""
    return {
        "name": LETTER,
        "title": "Dead letter",
        "summary": "A message that could not be taken, as it came.",
        "description": LETTER_TOLD,
        "headers": reference("schemas", LETTER_HEADERS),
        "payload": {"description": "Whatever the producer sent; it may be no JSON at all."},
    }


def letter_schemas() -> dict[str, Json]:
    """Write the headers that a dead letter has more than the message that it was."""
    texts = {f"{PREFIX}{name.replace('_', '-')}": f"The original's `{name}`." for name in TAKEN_OUT}
    moved = {
        "type": "array",
        "description": "The broker's own account, where it moved the message by itself.",
    }
    properties = {
        REASON: {"type": "string", "enum": [str(reason) for reason in Reason], "description": REASONS},
        DETAIL: {"type": "string", "maxLength": LONGEST_DETAIL, "description": "What is wrong, for people."},
        LETTER_ID: {**ID, "description": "The dead letter's own id, as the list shows it."},
        **{name: {"type": "string", "description": told} for name, told in texts.items()},
        DEATHS: moved,
    }
    required = [{"required": [REASON, DETAIL]}, {"required": [DEATHS]}]
    return {LETTER_HEADERS: {"type": "object", "properties": properties, "anyOf": required}}


def _open(kinds: Kinds, producers: Producers) -> Mapping[str, AnyHandler]:
    handlers = kinds.offered.items()
    return {kind: handler for kind, handler in handlers if producers.may(kind, handler.permission)}


def _name(kind: str) -> str:
    return f"task.{kind}"


def _message(kind: str) -> Json:
    asked = {"kind": {"const": kind}, "payload": {"$ref": f"{AT}{kind}.payload"}}
    return {
        "name": _name(kind),
        "title": f"Task: {kind}",
        "summary": f"Has a task of the kind `{kind}` done.",
        "description": f"At most {MAX_BODY_BYTES} bytes. Its result is `{kind}.result` among the schemas.",
        "contentType": "application/json",
        "headers": reference("schemas", HEADERS),
        "payload": {"allOf": [reference("schemas", ORDER), {"properties": asked}]},
        "x-amqp-properties": PROPERTIES,
        "x-result": {"$ref": f"{AT}{kind}.result"},
    }


def _headers() -> Json:
    attributes: dict[str, Json] = {
        "id": {**ID, "description": "In place of `message_id`; where both stand, they must agree."},
        "type": {"enum": list(TYPES), "description": "Needed in a CloudEvent."},
        "specversion": {"const": SPECVERSION},
        "source": {"type": "string", "description": "The producer's own; it is not read."},
    }
    both = {f"{prefix}{name}": schema for prefix in PREFIXES for name, schema in attributes.items()}
    return {
        "type": "object",
        "description": "All of them are optional. With CloudEvents' the message is one in binary mode.",
        "properties": {**both, "traceparent": TRACEPARENT},
    }
