"""Exchanges and queues in the document, from what declares them."""

from collections.abc import Iterable

from parlor.adapters.rabbitmq.topology import QUEUES, Names
from parlor.entrypoints.asyncapi.schemas import Json, reference

BINDING = "0.3.0"
TASKS, EVENTS, DEAD_LETTERS = "tasks", "events", "deadLetters"


def exchange_channels(
    names: Names, messages: dict[str, Iterable[str]], events: Iterable[str]
) -> dict[str, Json]:
    """Write what is published to: the exchanges, with the messages that pass each."""
    priority = {
        "enum": list(QUEUES),
        "description": "The priority: each has a queue, and none starves another.",
    }
    event = {
        "enum": list(events),
        "description": "`<context>.<fact>`; bind a queue with patterns, as `tasks.*`.",
    }
    channels: dict[str, Json] = {
        TASKS: {"address": "{priority}", "title": "Orders of tasks", "parameters": {"priority": priority}},
        EVENTS: {"address": "{event}", "title": "Domain events", "parameters": {"event": event}},
        DEAD_LETTERS: {"address": None, "title": "Dead letters"},
    }
    exchanges = {TASKS: names.tasks, EVENTS: names.events, DEAD_LETTERS: names.dead_letters}
    for key, channel in channels.items():
        channel["messages"] = {name: reference("messages", name) for name in messages[key]}
        channel["bindings"] = {"amqp": _exchange(names, exchanges[key])}
    return channels


def queue_channels(names: Names) -> dict[str, Json]:
    """Write what is consumed from: the queues, with their arguments and what each is bound to."""
    bound = {queue: (exchange, key) for queue, exchange, key in names.bindings()}
    return {queue: _queue_channel(names, queue, *bound[queue]) for queue in names.queues()}


def _exchange(names: Names, name: str) -> Json:
    exchange = {
        "name": name,
        "type": names.exchanges()[name],
        "durable": True,
        "autoDelete": False,
        "vhost": "/",
    }
    return {"is": "routingKey", "exchange": exchange, "bindingVersion": BINDING}


def _queue_channel(names: Names, queue: str, exchange: str, key: str) -> Json:
    binding = {"name": queue, "durable": True, "exclusive": False, "autoDelete": False, "vhost": "/"}
    bound = f"`{exchange}`" + (f" with the routing key `{key}`" if key else "")
    return {
        "address": queue,
        "title": f"Queue {queue}",
        "description": f"Bound to {bound}. The worker consumes it.",
        "bindings": {"amqp": {"is": "queue", "queue": binding, "bindingVersion": BINDING}},
        "x-queue-arguments": dict(names.queues()[queue]),
    }
