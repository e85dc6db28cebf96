"""Frames that clients send over the WebSocket."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from pydantic import Field, ValidationError

from parlor.core.shared.errors import Invalid, ParlorError
from parlor.entrypoints.http.chat_schemas import LARGEST, ClientId, Id, MessageText
from parlor.entrypoints.http.errors import InvalidJson
from parlor.entrypoints.http.schemas import Body
from parlor.entrypoints.http.strict_json import read_json
from parlor.validation import flaws_of

MOST_ECHOED = 64


class InvalidFrame(Invalid):
    """The frame is not one that the protocol knows."""

    code = "invalid_frame"


class Subscribe(Body):
    """Follow a chat: what changed after `since_rev`, then what happens."""

    type: Literal["subscribe"]
    chat_id: Id
    since_rev: Annotated[int, Field(ge=0, le=LARGEST)] | None = None


class Unsubscribe(Body):
    """Follow it no longer."""

    type: Literal["unsubscribe"]
    chat_id: Id


class SendMessage(Body):
    """Write into a chat."""

    type: Literal["send"]
    chat_id: Id
    text: MessageText
    reply_to: Id | None = None
    client_id: ClientId | None = None


class Typing(Body):
    """Show that one is typing."""

    type: Literal["typing"]
    chat_id: Id


class Read(Body):
    """Tell up to which message one has read."""

    type: Literal["read"]
    chat_id: Id
    seq: Annotated[int, Field(ge=0, le=LARGEST)]


class WatchOneTask(Body):
    """Watch a task until it has ended."""

    type: Literal["watch_task"]
    task_id: Id


class Ping(Body):
    """Ask whether anybody is there."""

    type: Literal["ping"]


AnyFrame = Subscribe | Unsubscribe | SendMessage | Typing | Read | WatchOneTask | Ping
KINDS: Mapping[object, type[AnyFrame]] = {
    "subscribe": Subscribe,
    "unsubscribe": Unsubscribe,
    "send": SendMessage,
    "typing": Typing,
    "read": Read,
    "watch_task": WatchOneTask,
    "ping": Ping,
}


def json_of(text: str | None) -> Mapping[str, Any]:
    """Read what came as text. Raises InvalidFrame."""
    if text is None:
        raise InvalidFrame("Frames are text.")
    try:
        value = read_json(text.encode("utf-8", "surrogatepass"))
    except InvalidJson as error:
        raise InvalidFrame(error.detail) from error
    except Invalid as error:
        raise _invalid(error) from error
    if not isinstance(value, dict):
        raise InvalidFrame("A frame is an object.")
    return value


def frame_of(fields: Mapping[str, Any]) -> AnyFrame:
    """Read a frame. Raises InvalidFrame."""
    kind = fields.get("type")
    if not isinstance(kind, str) or kind not in KINDS:
        raise InvalidFrame(f"/type: one of {', '.join(map(str, KINDS))}.")
    try:
        return KINDS[kind].model_validate(fields)
    except ValidationError as error:
        raise _invalid(Invalid(flaws=flaws_of(error.errors(), within=("body",)))) from error


def error_frame(error: ParlorError, fields: Mapping[str, Any]) -> bytes:
    """Say what went wrong, and with what: the ids that the frame in question had."""
    echoed = {name: fields[name] for name in ("chat_id", "task_id") if _is_id(fields.get(name))}
    client_id = fields.get("client_id")
    if isinstance(client_id, str) and len(client_id) <= MOST_ECHOED:
        echoed["client_id"] = client_id
    return orjson.dumps({"type": "error", "code": error.code, "detail": error.detail, **echoed})


def _invalid(error: Invalid) -> InvalidFrame:
    flaw = error.flaws[0]
    return InvalidFrame(f"{flaw.pointer}: {flaw.detail}", flaws=error.flaws)


def _is_id(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(UUID(value))
    except ValueError:
        return False
