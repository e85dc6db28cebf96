"""What a delivery says, and every reason for which one is refused."""

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given, strategies as st

from parlor.core.shared.bus import Delivery
from parlor.core.shared.ids import TaskId
from parlor.core.tasks.foreign import ForeignOrder, Refused
from parlor.core.tasks.model import FARTHEST_RUN_AT, Order, Priority
from parlor.entrypoints.consume_worker.bodies import MAX_BODY_BYTES
from parlor.entrypoints.consume_worker.messages import DueRow, read
from tests.builders import a_delivery, a_due_delivery

ID = TaskId(uuid4())
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def a_body(**fields: object) -> bytes:
    return json.dumps({"kind": "note", "payload": {}, **fields}).encode()


def read_order(body: bytes, **fields: object) -> ForeignOrder:
    said = read(a_delivery(body, **{"message_id": str(ID), **fields}))  # type: ignore[arg-type]  # a test's own fields
    assert isinstance(said, ForeignOrder)
    return said


def reason(delivery: Delivery) -> str:
    with pytest.raises(Refused) as refused:
        read(delivery)
    assert refused.value.detail
    return refused.value.reason


def reason_of(body: bytes) -> str:
    return reason(a_delivery(body, message_id=str(ID)))


def test_our_own_relay_names_a_row() -> None:
    assert read(a_due_delivery(ID)) == DueRow(ID)


@pytest.mark.parametrize("message_id", [None, "", "nonsense"])
def test_a_row_without_a_name_is_refused(message_id: str | None) -> None:
    assert reason(a_delivery(message_id=message_id, headers={"x-parlor-row": 1})) == "invalid_message"


def test_an_order_has_defaults() -> None:
    assert read_order(a_body()) == ForeignOrder(ID, Order(kind="note", payload={}))


def test_an_order_is_read_with_all_it_says() -> None:
    user = uuid4()
    body = a_body(
        payload={"text": "hi"},
        run_at="2026-03-01T13:00:00+01:00",
        max_attempts=7,
        timeout_s=9,
        requested_by=str(user),
    )
    said = read_order(body, queue="high", headers={"traceparent": TRACE})
    assert said.requested_by == str(user)
    assert said.order == Order(
        kind="note",
        payload={"text": "hi"},
        priority=Priority.HIGH,
        run_at=datetime(2026, 3, 1, 12, tzinfo=UTC),
        max_attempts=7,
        timeout_s=9,
        traceparent=TRACE,
    )


@pytest.mark.parametrize("trace", ["nonsense", TRACE.upper(), TRACE + "-more", 7, b"bytes"])
def test_a_trace_that_is_none_is_ignored(trace: object) -> None:
    assert read_order(a_body(), headers={"traceparent": trace}).order.traceparent is None


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "image/svg+json",
        "application/json",
        "APPLICATION/JSON; charset=utf-8",
        "application/cloudevents+json",
    ],
)
def test_json_may_be_called_several_names(content_type: str | None) -> None:
    assert read_order(a_body(), content_type=content_type).id == ID


@pytest.mark.parametrize("content_type", ["text/plain", "application/xml", "application/jsonp", "json"])
def test_another_content_type_is_not_json(content_type: str) -> None:
    assert reason(a_delivery(a_body(), message_id=str(ID), content_type=content_type)) == "not_json"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nonsense",
        b"\xff\xfe",
        b"\xef\xbb\xbf{}",
        a_body() + b"x",
        b'{"kind": "note", "kind": "note", "payload": {}}',
        b'{"kind": "note", "payload": {"a": 1, "a": 2}}',
        b'{"kind": "note", "payload": {"a": NaN}}',
        b'{"kind": "note", "payload": {"a": Infinity}}',
        b'{"kind": "note", "payload": {"a": -Infinity}}',
        b'{"kind": "note", "payload": {"a": 1e999}}',
        b'{"kind": "note", "payload": {"a": [-1e999]}}',
        b'{"kind": "note", "payload": {"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}",
        b'{"kind": "note", "payload": {"a": ' + b"[" * 63 + b"]" * 63 + b"}}",
        b'{"kind": "note", "payload": {"a": ' + b"9" * 5000 + b"}}",
    ],
)
def test_a_body_that_is_not_json_is_refused(body: bytes) -> None:
    assert reason_of(body) == "not_json"


def test_a_body_may_be_nested_64_deep() -> None:
    body = b'{"kind": "note", "payload": {"a": ' + b"[" * 62 + b"]" * 62 + b"}}"
    assert read_order(body).id == ID


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"null",
        b'"text"',
        b"{}",
        b'{"kind": "note"}',
        b'{"payload": {}}',
        a_body(kind=""),
        a_body(kind="x" * 129),
        a_body(kind=7),
        a_body(payload=[]),
        a_body(payload="text"),
        a_body(more=1),
        a_body(max_attempts=0),
        a_body(max_attempts=101),
        a_body(max_attempts="5"),
        a_body(max_attempts=True),
        a_body(timeout_s=0),
        a_body(timeout_s=86_401),
        a_body(timeout_s=1.5),
        a_body(run_at="tomorrow"),
        a_body(run_at="2026-03-01T13:00:00"),
        a_body(run_at="9999-12-31T23:59:59-12:00"),
        a_body(requested_by=7),
        a_body(id="nonsense"),
        a_body(payload={"a": "\0"}),
        a_body(payload={"\0": "a"}),
        a_body(payload={"a": "\ud800"}),
    ],
)
def test_a_message_that_breaks_the_contract_is_refused(body: bytes) -> None:
    assert reason_of(body) == "invalid_message"


def test_a_flaw_is_told_without_its_value() -> None:
    with pytest.raises(Refused) as refused:
        read(a_delivery(a_body(max_attempts="a secret"), message_id=str(ID)))
    assert "/max_attempts" in refused.value.detail
    assert "a secret" not in refused.value.detail


def test_a_run_at_may_lie_five_years_ahead() -> None:
    nearly, beyond = (
        (datetime.now(UTC) + FARTHEST_RUN_AT + more).isoformat()
        for more in (-timedelta(hours=1), timedelta(hours=1))
    )
    assert read_order(a_body(run_at=nearly)).order.run_at is not None
    assert reason_of(a_body(run_at=beyond)) == "invalid_message"


def test_a_body_over_the_limit_is_too_large() -> None:
    body = a_body(payload={"a": ""})
    filled = a_body(payload={"a": "x" * (MAX_BODY_BYTES - len(body))})
    assert len(filled) == MAX_BODY_BYTES
    assert read_order(filled).id == ID
    assert reason_of(a_body(payload={"a": "x" * (MAX_BODY_BYTES - len(body) + 1)})) == "too_large"


def test_a_message_without_an_id_is_refused() -> None:
    assert reason(a_delivery(a_body())) == "missing_id"


def test_an_id_in_the_body_serves_too() -> None:
    assert read_order(a_body(id=str(ID)), message_id=None).id == ID
    assert read_order(a_body(id=str(ID))).id == ID


def test_two_ids_that_differ_are_refused() -> None:
    assert reason(a_delivery(a_body(id=str(uuid4())), message_id=str(ID))) == "id_mismatch"


def test_an_id_that_is_no_uuid_is_refused() -> None:
    assert reason(a_delivery(a_body(), message_id="order-7")) == "invalid_message"


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ["kind", "payload", "id", "run_at", "max_attempts", "timeout_s", "requested_by"]


@given(said=st.dictionaries(st.sampled_from(FIELDS), ANYTHING) | ANYTHING, message_id=st.none() | st.text())
def test_whatever_json_comes_it_is_read_or_refused(said: object, message_id: str | None) -> None:
    """Never a crash: one message must not stop the worker."""
    with suppress(Refused):
        assert isinstance(read(a_delivery(json.dumps(said).encode(), message_id=message_id)), ForeignOrder)


@given(body=st.binary(max_size=200), message_id=st.none() | st.uuids().map(str))
def test_whatever_bytes_come_they_are_read_or_refused(body: bytes, message_id: str | None) -> None:
    with pytest.raises(Refused):
        read(a_delivery(body, message_id=message_id))


def test_an_id_is_read_in_any_spelling() -> None:
    assert read_order(a_body(), message_id=str(ID).upper()).id == UUID(str(ID))


def test_a_moment_before_1970_is_refused() -> None:
    assert reason_of(a_body(run_at="0001-01-01T00:00:00Z")) == "invalid_message"
    assert read_order(a_body(run_at="1970-01-01T00:00:00Z")).order.run_at == datetime(1970, 1, 1, tzinfo=UTC)
