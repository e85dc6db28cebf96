"""A producer's message as a CloudEvent: what it must say, and why another is refused."""

import json
from uuid import UUID, uuid4

import pytest

from parlor.core.tasks.foreign import ForeignOrder, Refused
from parlor.entrypoints.consume_worker.messages import read
from tests.builders import a_delivery

ID = UUID("6c4e8d67-7bb0-4000-ac25-cb25d318e88d")
BODY = json.dumps({"kind": "note", "payload": {}}).encode()
PREFIXES = ["cloudEvents:", "cloudEvents_"]


def an_event(prefix: str = "cloudEvents:", **attributes: object) -> dict[str, object]:
    said = {
        "specversion": "1.0",
        "id": str(ID),
        "type": "parlor.task.requested",
        "source": "/tests",
        **attributes,
    }
    return {f"{prefix}{name}": value for name, value in said.items() if value is not None}


def read_event(headers: dict[str, object], body: bytes = BODY, message_id: str | None = None) -> ForeignOrder:
    said = read(a_delivery(body, message_id=message_id, headers=headers))
    assert isinstance(said, ForeignOrder)
    return said


def reason(headers: dict[str, object], body: bytes = BODY, message_id: str | None = None) -> str:
    with pytest.raises(Refused) as refused:
        read_event(headers, body, message_id)
    assert refused.value.detail
    return refused.value.reason


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("kind", ["parlor.task.requested", "parlor.task.requested.v1"])
def test_a_requested_task_is_an_order_under_the_events_id(prefix: str, kind: str) -> None:
    said = read_event(an_event(prefix, type=kind))
    assert (said.id, said.order.kind) == (ID, "note")


@pytest.mark.parametrize("prefix", PREFIXES)
def test_attributes_may_be_bytes(prefix: str) -> None:
    text = an_event(prefix)
    assert read_event({name: str(value).encode() for name, value in text.items()}).id == ID


@pytest.mark.parametrize("left_out", ["specversion", "source"])
def test_id_and_type_are_enough(left_out: str) -> None:
    headers = an_event()
    del headers[f"cloudEvents:{left_out}"]
    assert read_event(headers).id == ID


def test_attributes_that_are_not_asked_for_are_ignored() -> None:
    headers = an_event(time=7, subject=None, dataschema="x", datacontenttype="text/plain", sequence=["a"])
    assert read_event(headers).id == ID


def test_both_prefixes_may_say_the_same() -> None:
    assert read_event(an_event("cloudEvents:") | an_event("cloudEvents_")).id == ID


@pytest.mark.parametrize(
    "given",
    [
        {"type": None},
        {"type": ""},
        {"type": "parlor.task.requested.v2"},
        {"type": "parlor.task.requested.V1"},
        {"type": "parlor.tasks.task_succeeded.v1"},
        {"type": 1},
        {"type": b"\xff"},
        {"specversion": "0.3"},
        {"specversion": "2.0"},
        {"specversion": 1.0},
        {"specversion": b"\xff"},
        {"id": "order-7"},
        {"id": ""},
        {"id": 7},
        {"id": b"\xff"},
        {"id": {"a": 1}},
    ],
)
@pytest.mark.parametrize("prefix", PREFIXES)
def test_another_event_is_an_invalid_message(prefix: str, given: dict[str, object]) -> None:
    assert reason(an_event(prefix, **given)) == "invalid_message"


def test_an_event_of_another_type_is_not_judged_by_its_body() -> None:
    assert reason(an_event(type="com.example.other"), b"\xff") == "invalid_message"


def test_an_event_without_any_id_is_refused() -> None:
    assert reason(an_event(id=None)) == "missing_id"


@pytest.mark.parametrize("spelled", [str(ID), str(ID).upper(), ID.hex])
def test_ids_that_agree_are_one(spelled: str) -> None:
    body = json.dumps({"kind": "note", "payload": {}, "id": str(ID)}).encode()
    assert read_event(an_event(id=spelled), body, message_id=str(ID)).id == ID
    assert read_event(an_event(id=None), body).id == ID


def test_ids_that_do_not_agree_are_refused() -> None:
    other = json.dumps({"kind": "note", "payload": {}, "id": str(uuid4())}).encode()
    assert reason(an_event(), message_id=str(uuid4())) == "id_mismatch"
    assert reason(an_event(), other) == "id_mismatch"
    assert reason(an_event() | {"cloudEvents_id": str(uuid4())}) == "id_mismatch"


def test_two_types_that_differ_are_refused() -> None:
    assert reason(an_event() | {"cloudEvents_type": "parlor.task.requested.v1"}) == "invalid_message"


def test_a_trace_comes_in_its_own_header_as_text_or_bytes() -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    assert read_event(an_event() | {"traceparent": trace}).order.traceparent == trace
    assert read_event(an_event() | {"traceparent": trace.encode()}).order.traceparent == trace
