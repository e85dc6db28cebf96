"""The AsyncAPI 3 document: what producers and subscribers in any language may rely on."""

import json
from importlib.metadata import version
from typing import Any

from parlor.adapters.rabbitmq.topology import Names
from parlor.config import Settings
from parlor.container import kinds_of, producers_of
from parlor.core.tasks.foreign import Producers
from parlor.core.tasks.kinds import Kinds
from parlor.entrypoints.asyncapi import events, tasks
from parlor.entrypoints.asyncapi.schemas import Json
from parlor.entrypoints.asyncapi.topology import (
    BINDING,
    DEAD_LETTERS,
    EVENTS,
    TASKS,
    exchange_channels,
    queue_channels,
)

ABOUT = """\
Tasks over RabbitMQ, and what has happened.

Exchanges and queues are declared by the worker and by `parlor topology`; one that exists with other arguments is \
an error that names the difference. Their names begin with `PARLOR_NAMESPACE` (here: `{namespace}`), so that several \
installations share a broker; CloudEvents' types and sources stay as they are. Who may publish and bind is for the \
broker's own permissions to say. Everything is published with confirms; tasks also `mandatory`, events not.

Delays, retries and schedules live in PostgreSQL: RabbitMQ only ever carries what is due now."""
TAKING = """\
Confirm what is published, and set `mandatory`: a message that no queue took is the producer's to see. A confirmed \
one becomes a task however often Parlor's processes end in between.

The same id twice, in any order and from any number of producers, is one task for as long as ended tasks are kept \
(`PARLOR_TASK_KEEP_DAYS`); the body that came first counts. Delivery to handlers is at least once, and a task ends \
once: with a result, or with an error that has a code. A `run_at` ahead makes a scheduled task.

`GET /api/v1/tasks/{id}` shows it to `tasks:manage`, and to the user whom a trusted producer named in \
`requested_by`; `tasks.task_succeeded` and `tasks.task_failed` tell subscribers how it ended."""
TELLING = """\
Published at least once, after and only after the transaction that made it true has committed, and in commit order \
for each subject. `cloudEvents:id` is the same on every repetition. A repetition may come late: drop what has no \
higher `cloudEvents:sequence` than the last of its subject. An event that no queue is bound for is gone.

A new version of an event gets a new `.vN` type beside the old one; a field is never given another meaning."""
REFUSING = """\
Never a crash, never a loop, never silence: what cannot be taken comes here, and stands in `GET /api/v1/dead-letters`. \
Bind a queue of your own to the exchange to watch."""


def published(settings: Settings) -> Json:
    """Describe an installation with these settings; needs no server."""
    return describe(kinds_of(settings), producers_of(settings), settings.namespace)


def describe(kinds: Kinds, producers: Producers, namespace: str) -> Json:
    """Write the document."""
    names = Names(namespace)
    orders, told = tasks.task_messages(kinds, producers), events.event_messages()
    passing: dict[str, Any] = {TASKS: orders, EVENTS: told, DEAD_LETTERS: [tasks.LETTER]}
    return {
        "asyncapi": "3.0.0",
        "info": _info(namespace),
        "defaultContentType": "application/json",
        "servers": {"rabbitmq": _server()},
        "channels": exchange_channels(names, passing, events.routing_keys()) | queue_channels(names),
        "operations": {
            "takeTasks": _operation("receive", TASKS, "Takes orders of tasks.", TAKING, ack=True),
            "tellEvents": _operation("send", EVENTS, "Tells what has happened.", TELLING, **SENT),
            "refuseMessages": _operation(
                "send", DEAD_LETTERS, "Keeps what it cannot take.", REFUSING, **SENT
            ),
        },
        "components": {
            "messages": {**orders, **told, tasks.LETTER: tasks.letter_message()},
            "schemas": {
                **tasks.task_schemas(kinds, producers),
                **tasks.letter_schemas(),
                **events.event_schemas(),
            },
        },
    }


def written(document: Json) -> str:
    """Write it as it is printed and kept."""
    return json.dumps(document, indent=2, ensure_ascii=False)


SENT = {"deliveryMode": 2, "mandatory": False}


def _info(namespace: str) -> Json:
    return {
        "title": "Parlor over RabbitMQ",
        "version": version("parlor"),
        "description": ABOUT.format(namespace=namespace),
        "license": {"name": "MIT"},
    }


def _server() -> Json:
    return {
        "host": "localhost:5672",
        "protocol": "amqp",
        "protocolVersion": "0.9.1",
        "title": "RabbitMQ",
        "description": "RabbitMQ 3.10 or newer, at `RABBITMQ_URL`.",
    }


def _operation(action: str, channel: str, summary: str, promise: str, **binding: object) -> Json:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": summary,
        "description": promise,
        "bindings": {"amqp": {**binding, "bindingVersion": BINDING}},
    }
