"""What a delivery says: a row of ours that is due, or an order that a producer sent straight to the broker."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import structlog
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from parlor.core.shared.bus import Delivery
from parlor.core.shared.ids import TaskId
from parlor.core.shared.tracing import well_formed
from parlor.core.tasks.foreign import AdmitForeign, ForeignOrder, Refused
from parlor.core.tasks.model import (
    EARLIEST_RUN_AT,
    FARTHEST_RUN_AT,
    MAX_ATTEMPTS,
    TIMEOUT_S,
    Order,
    Priority,
    Task,
)
from parlor.core.tasks.reasons import Reason
from parlor.entrypoints.consume_worker.bodies import check_body
from parlor.entrypoints.consume_worker.cloud_events import event_id, text_of

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class DueRow:
    """The relay says: this row is due."""

    task_id: TaskId


class TaskMessage(BaseModel):
    """The body of a producer's message: what is to be done. An unknown field is refused."""

    model_config = ConfigDict(extra="forbid", strict=True)

    kind: str = Field(min_length=1, max_length=128, description="What to do.")
    payload: dict[str, object] = Field(description="What the kind takes.")
    id: UUID | None = Field(
        None, description="The task's id, in place of `message_id`; where both stand, they must agree."
    )
    run_at: AwareDatetime | None = Field(
        None,
        description="Not before this moment (RFC 3339, with its offset); without it, as soon as possible.",
    )
    max_attempts: int = Field(
        5, ge=MAX_ATTEMPTS[0], le=MAX_ATTEMPTS[1], description="How often it is tried; lost attempts count."
    )
    timeout_s: int = Field(
        60, ge=TIMEOUT_S[0], le=TIMEOUT_S[1], description="Seconds that each attempt may take."
    )
    requested_by: str | None = Field(
        None, description="A user's id. It counts only where producers are trusted; else it is dropped."
    )


def read(delivery: Delivery) -> DueRow | ForeignOrder:
    """Understand a delivery; raises Refused with the reason that the dead letters will show."""
    if "x-parlor-row" in delivery.headers:
        return DueRow(TaskId(_uuid(delivery.message_id, "message_id")))
    as_event = event_id(delivery.headers)
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
    task_id = _agreed(delivery.message_id, as_event, message.id)
    return ForeignOrder(TaskId(task_id), order, message.requested_by)


async def admitted(said: ForeignOrder, admit: AdmitForeign) -> Task:
    """Make the task that an order asks for; raises Refused. That a producer named a user in vain is logged."""
    task = await admit(said)
    if said.requested_by is not None and task.requested_by.user_id is None:
        log.warning("requested_by_dropped", task_id=str(task.id), kind=task.kind)
    return task


def _message(delivery: Delivery) -> TaskMessage:
    check_body(delivery.body, delivery.content_type)
    try:
        return TaskMessage.model_validate_json(delivery.body)
    except ValidationError as error:
        flaws = (
            f"/{'/'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors(include_input=False)
        )
        raise Refused(Reason.INVALID_MESSAGE, "; ".join(flaws)) from error


def _agreed(message_id: str | None, as_event: str | None, in_body: UUID | None) -> UUID:
    """Answer the one id that all places name which name any."""
    stated = {
        _uuid(text, place)
        for text, place in ((message_id, "message_id"), (as_event, "cloudEvents:id"))
        if text is not None
    }
    ids = stated if in_body is None else stated | {in_body}
    if len(ids) > 1:
        raise Refused(Reason.ID_MISMATCH, "message_id, cloudEvents:id and the body's id do not agree.")
    if not ids:
        raise Refused(Reason.MISSING_ID, "The message has no message_id, so it cannot be deduplicated.")
    return ids.pop()


def _uuid(text: str | None, place: str) -> UUID:
    try:
        return UUID(text or "")
    except ValueError as error:
        raise Refused(Reason.INVALID_MESSAGE, f"{place} is not a UUID.") from error


def _checked_moment(moment: datetime | None) -> datetime | None:
    if moment is None:
        return None
    try:
        in_utc = moment.astimezone(UTC)
    except OverflowError as error:
        raise Refused(Reason.INVALID_MESSAGE, "run_at is out of range.") from error
    if in_utc < EARLIEST_RUN_AT:
        raise Refused(Reason.INVALID_MESSAGE, "run_at is too long ago.")
    if in_utc - datetime.now(UTC) > FARTHEST_RUN_AT:
        raise Refused(Reason.INVALID_MESSAGE, f"run_at is more than {FARTHEST_RUN_AT.days} days ahead.")
    return in_utc


def _traceparent(headers: Mapping[str, object]) -> str | None:
    return well_formed(text_of(headers.get("traceparent")))
