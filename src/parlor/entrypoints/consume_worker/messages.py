"""What a delivery says: a row of ours that is due, or an order that a producer sent straight to the broker."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from parlor.core.shared.bus import Delivery
from parlor.core.shared.ids import TaskId, UserId
from parlor.core.tasks.foreign import ForeignOrder, Refused
from parlor.core.tasks.model import EARLIEST_RUN_AT, FARTHEST_RUN_AT, MAX_ATTEMPTS, TIMEOUT_S, Order, Priority

MAX_BODY_BYTES = 1024 * 1024
MOST_NESTED = 64
TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_JSON = re.compile(r"application/(?:json|[a-z0-9.+-]+\+json)\s*(?:;.*)?", re.IGNORECASE)
# Half a character, or the escape of NUL (and not an escaped backslash before u0000).
_UNSTORABLE = re.compile(r"[\ud800-\udfff]|(?<!\\)(?:\\\\)*\\u0000")


@dataclass(frozen=True, slots=True)
class DueRow:
    """The relay says: this row is due."""

    task_id: TaskId


class TaskMessage(BaseModel):
    """The body of a producer's message."""

    model_config = ConfigDict(extra="forbid", strict=True)

    kind: str = Field(min_length=1, max_length=128)
    payload: dict[str, object]
    id: UUID | None = None
    run_at: AwareDatetime | None = None
    max_attempts: int = Field(5, ge=MAX_ATTEMPTS[0], le=MAX_ATTEMPTS[1])
    timeout_s: int = Field(60, ge=TIMEOUT_S[0], le=TIMEOUT_S[1])
    requested_by: UUID | None = None


def read(delivery: Delivery) -> DueRow | ForeignOrder:
    """Understand a delivery; raises Refused with the reason that the dead letters will show."""
    if "x-parlor-row" in delivery.headers:
        return DueRow(TaskId(_uuid(delivery.message_id)))
    if len(delivery.body) > MAX_BODY_BYTES:
        raise Refused("too_large", f"The body is over {MAX_BODY_BYTES} bytes.")
    message = _message(delivery)
    order = Order(
        kind=message.kind,
        payload=message.payload,
        priority=Priority(delivery.queue),
        run_at=_checked_moment(message.run_at),
        max_attempts=message.max_attempts,
        timeout_s=message.timeout_s,
        traceparent=_traceparent(delivery.headers),
    )
    requested_by = UserId(message.requested_by) if message.requested_by else None
    return ForeignOrder(TaskId(_id(delivery, message)), order, requested_by)


def _message(delivery: Delivery) -> TaskMessage:
    if delivery.content_type and not _JSON.fullmatch(delivery.content_type):
        raise Refused("not_json", "The content type is not application/json.")
    _check_json(delivery.body)
    try:
        return TaskMessage.model_validate_json(delivery.body)
    except ValidationError as error:
        flaws = (
            f"/{'/'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors(include_input=False)
        )
        raise Refused("invalid_message", "; ".join(flaws)) from error


def _check_json(body: bytes) -> None:
    """Read JSON as the HTTP API does: UTF-8, no doubled keys, no NaN, no bottomless nesting, nothing unstorable."""
    try:
        parsed = json.loads(
            body.decode(), object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite
        )
    except (ValueError, RecursionError) as error:
        raise Refused("not_json", "The body is not JSON in UTF-8.") from error
    if _depth(parsed) > MOST_NESTED:
        raise Refused("not_json", f"The body is nested deeper than {MOST_NESTED}.")
    # Only an escape can bring them in: raw, neither is JSON in UTF-8.
    if b"\\u" in body and _UNSTORABLE.search(json.dumps(parsed, ensure_ascii=False)):
        raise Refused("invalid_message", "The body holds a NUL or half a character.")


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    read_pairs = dict(pairs)
    if len(read_pairs) != len(pairs):
        raise ValueError("a key stands twice")
    return read_pairs


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    """1e999 is well-formed, and would be read as the infinity that is not."""
    number = float(text)
    if math.isinf(number):
        raise ValueError("a number is too large")
    return number


def _depth(value: object) -> int:
    deepest, level = 0, [value]
    while level and deepest <= MOST_NESTED:
        deepest += 1
        level = [child for parent in level for child in _children(parent)]
    return deepest


def _children(value: object) -> list[object]:
    match value:
        case dict():
            return list(value.values())
        case list():
            return value
        case _:
            return []


def _id(delivery: Delivery, message: TaskMessage) -> UUID:
    stated = delivery.message_id
    if stated is None:
        if message.id is None:
            raise Refused("missing_id", "The message has no message_id, so it cannot be deduplicated.")
        return message.id
    named = _uuid(stated)
    if message.id is not None and message.id != named:
        raise Refused("id_mismatch", "message_id and the body's id differ.")
    return named


def _uuid(text: str | None) -> UUID:
    try:
        return UUID(text or "")
    except ValueError as error:
        raise Refused("invalid_message", "message_id is not a UUID.") from error


def _checked_moment(moment: datetime | None) -> datetime | None:
    if moment is None:
        return None
    try:
        in_utc = moment.astimezone(UTC)
    except OverflowError as error:
        raise Refused("invalid_message", "run_at is out of range.") from error
    if in_utc < EARLIEST_RUN_AT:
        raise Refused("invalid_message", "run_at is too long ago.")
    if in_utc - datetime.now(UTC) > FARTHEST_RUN_AT:
        raise Refused("invalid_message", f"run_at is more than {FARTHEST_RUN_AT.days} days ahead.")
    return in_utc


def _traceparent(headers: Mapping[str, object]) -> str | None:
    value = headers.get("traceparent")
    return value if isinstance(value, str) and TRACEPARENT.fullmatch(value) else None
