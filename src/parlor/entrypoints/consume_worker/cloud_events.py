"""A producer's message as a CloudEvent 1.0 in binary mode: its attributes are headers, its body is the order."""

from collections.abc import Mapping

from parlor.core.tasks.foreign import Refused
from parlor.core.tasks.reasons import Reason

# As CloudEvents' AMQP binding has it; the second is for clients whose headers have no colon.
PREFIXES = ("cloudEvents:", "cloudEvents_")
SPECVERSION = "1.0"
REQUESTED = "parlor.task.requested"
TYPES = (REQUESTED, f"{REQUESTED}.v1")
READ = ("id", "type", "specversion")


def event_id(headers: Mapping[str, object]) -> str | None:
    """Answer the id of a CloudEvent that asks for a task; None where it names none, or the message is no CloudEvent.

    Raises Refused for a CloudEvent of another type.
    """
    if not any(name.startswith(PREFIXES) for name in headers):
        return None
    said = {attribute: _attribute(headers, attribute) for attribute in READ}
    if said["specversion"] not in {None, SPECVERSION}:
        raise Refused(Reason.INVALID_MESSAGE, f"cloudEvents:specversion is not {SPECVERSION}.")
    if said["type"] not in TYPES:
        raise Refused(Reason.INVALID_MESSAGE, f"cloudEvents:type is not {' or '.join(TYPES)}.")
    return said["id"]


def text_of(value: object) -> str | None:
    """Read a header as text: some clients send bytes. None for what is neither."""
    if isinstance(value, bytes | bytearray):
        value = value.decode(errors="replace")
    return value if isinstance(value, str) else None


def _attribute(headers: Mapping[str, object], attribute: str) -> str | None:
    given = {
        text_of(headers[name]) for name in (f"{prefix}{attribute}" for prefix in PREFIXES) if name in headers
    }
    if None in given:
        raise Refused(Reason.INVALID_MESSAGE, f"cloudEvents:{attribute} is not a text.")
    if len(given) > 1:
        reason = Reason.ID_MISMATCH if attribute == "id" else Reason.INVALID_MESSAGE
        raise Refused(reason, f"cloudEvents:{attribute} stands twice and differs.")
    return next(iter(given), None)
