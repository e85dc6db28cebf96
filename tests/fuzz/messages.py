"""Messages as no client library would write them: any property, any table, any body, to any exchange of ours."""

import json
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from hypothesis import HealthCheck, Phase, given, settings, strategies as st
from pika import BasicProperties

from parlor.adapters.rabbitmq.properties import FIELDS, FLAGS
from parlor.entrypoints.consume_worker.bodies import MAX_BODY_BYTES
from tests.fuzz.budget import Budget

Made = st.SearchStrategy[bytes]

IDS = [str(UUID(int=number)) for number in range(8)]
SPECIAL = [
    "cloudEvents:id",
    "cloudEvents_id",
    "cloudEvents:type",
    "cloudEvents:specversion",
    "cloudEvents:source",
    "traceparent",
    "x-death",
    "x-parlor-row",
    "x-parlor-reason",
    "x-parlor-detail",
    "x-parlor-letter",
    "x-parlor-user-id",
    "x-parlor-expiration",
    "x-delivery-count",
    "x-acquired-count",
    "x-first-death-queue",
    "x-first-death-reason",
    "x-last-death-exchange",
    "original-expiration",
]
SAID = [
    *IDS,
    "1.0",
    "parlor.task.requested",
    "parlor.task.requested.v1",
    "00-" + "0" * 32 + "-" + "1" * 16 + "-01",
]
KEYS = ["high", "default", "low"]


@dataclass(frozen=True, slots=True)
class Message:
    """What is published; `mark` is its `app_id`, and stands for it in the dead letters."""

    exchange: str
    key: str
    properties: "Raw"
    body: bytes
    ids: frozenset[str]
    names: frozenset[str]
    mark: str


class Raw(BasicProperties):  # type: ignore[misc]  # pika has no types
    """Properties that are bytes already."""

    def __init__(self, values: dict[str, bytes]) -> None:
        super().__init__()
        self.values = values

    def encode(self) -> list[bytes]:
        """Write them as pika's own are written."""
        present = [name for name, _ in FIELDS if name in self.values]
        flags = sum(FLAGS[name] for name in present)
        return [flags.to_bytes(2), *(self.values[name] for name in present)]


def drawn(budget: Budget) -> list[Message]:
    """Draw that many messages."""
    many: list[Message] = []

    @settings(
        max_examples=budget.examples,
        derandomize=budget.derandomized,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(messages())
    def draw(message: Message) -> None:
        many.append(message)

    draw()
    return many


def short(raw: bytes) -> bytes:
    return len(raw[:255]).to_bytes(1) + raw[:255]


def long(raw: bytes) -> bytes:
    return len(raw).to_bytes(4) + raw


def packed(kind: bytes, form: str, values: st.SearchStrategy[Any]) -> Made:
    """Write one value of a table, its type before it."""
    return values.map(lambda value: kind + struct.pack(f">{form}", value))


def whole(bits: int, *, signed: bool) -> st.SearchStrategy[int]:
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else st.integers(0, 2**bits - 1)


TEXT = st.one_of(
    st.sampled_from(SAID).map(str.encode), st.text(max_size=40).map(str.encode), st.binary(max_size=40)
)
LEAVES = st.one_of(
    TEXT.map(lambda raw: b"S" + long(raw)),
    TEXT.map(lambda raw: b"x" + long(raw)),
    packed(b"t", "B", st.integers(0, 1)),
    packed(b"b", "b", whole(8, signed=True)),
    packed(b"B", "B", whole(8, signed=False)),
    packed(b"s", "h", whole(16, signed=True)),
    packed(b"u", "H", whole(16, signed=False)),
    packed(b"I", "i", whole(32, signed=True)),
    packed(b"i", "I", whole(32, signed=False)),
    packed(b"l", "q", whole(64, signed=True)),
    packed(b"f", "f", st.floats(width=32)),
    packed(b"d", "d", st.floats()),
    packed(b"T", "Q", whole(64, signed=False)),
    st.tuples(whole(8, signed=False), whole(32, signed=False)).map(lambda d: b"D" + struct.pack(">BI", *d)),
    st.just(b"V"),
)


def table(entries: Sequence[tuple[bytes, bytes]]) -> bytes:
    return long(b"".join(short(name) + value for name, value in entries))


NAMES = st.one_of(st.sampled_from(SPECIAL).map(str.encode), st.text(max_size=20).map(str.encode))


def tables(values: Made) -> Made:
    return st.lists(st.tuples(NAMES, values), max_size=4, unique_by=lambda entry: entry[0]).map(table)


def _deeper(values: Made) -> Made:
    arrays = st.lists(values, max_size=4).map(lambda many: b"A" + long(b"".join(many)))
    return st.one_of(arrays, tables(values).map(lambda raw: b"F" + raw))


VALUES = st.recursive(LEAVES, _deeper, max_leaves=6)
HEADERS = st.lists(st.tuples(NAMES, VALUES), max_size=5, unique_by=lambda entry: entry[0])
OTHERS: dict[str, Made] = {
    "content_type": st.sampled_from([b"", b"application/json", b"text/plain", b"a/b+json", b"\xff"]).map(
        short
    ),
    "content_encoding": st.sampled_from([b"gzip", b"utf-8", b"\xff\0"]).map(short),
    "delivery_mode": st.sampled_from([b"\1", b"\2"]),
    "priority": st.binary(min_size=1, max_size=1),
    "correlation_id": TEXT.map(short),
    "reply_to": TEXT.map(short),
    "expiration": st.sampled_from([b"60000", b"0"]).map(short),
    "timestamp": st.binary(min_size=8, max_size=8),
    "type": TEXT.map(short),
    "user_id": st.just(short(b"guest")),
    "cluster_id": TEXT.map(short),
}
NUMBERS = st.sampled_from(["9" * 5000, "-0", "1e999", "1E-400", str(2**63), "NaN", "-Infinity", "0x1"])
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["\0", "\ud800", *SAID]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=8,
)
KINDS = st.sampled_from(["truth_or_dare", "http_request", "send_mail", "leave_everything", "none"]) | JSON
PAYLOADS = (
    st.fixed_dictionaries({}, optional={"mode": st.sampled_from(["any", "truth"]) | JSON, "party_id": JSON})
    | st.fixed_dictionaries({"url": st.sampled_from(["http://127.0.0.1:1/", "ftp://x", "http://[::"]) | JSON})
    | JSON
)
ORDERS = st.fixed_dictionaries(
    {},
    optional={
        "kind": KINDS,
        "payload": PAYLOADS,
        "id": st.sampled_from(IDS) | JSON,
        "run_at": st.sampled_from(["2020-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00", "soon"]) | JSON,
        "max_attempts": st.integers(-1, 200) | JSON,
        "timeout_s": st.integers(-1, 10**6) | JSON,
        "requested_by": st.sampled_from(SAID) | JSON,
        "else": JSON,
    },
)


def _plausible(mode: str) -> bytes:
    return json.dumps({"kind": "truth_or_dare", "payload": {"mode": mode}}).encode()


def _sized(size: int) -> bytes:
    return _plausible("any").ljust(size)


BODIES: Made = st.one_of(
    st.sampled_from(["any", "truth", "dare", "none"]).map(_plausible),
    ORDERS.map(lambda said: json.dumps(said).encode()),
    JSON.map(lambda said: json.dumps(said).encode()),
    NUMBERS.map(lambda number: b'{"kind":"truth_or_dare","payload":{"mode":%b}}' % number.encode()),
    st.builds(lambda cut: _plausible("any")[:cut], st.integers(0, 40)),
    st.builds(lambda depth: b"[" * depth + b"]" * depth, st.sampled_from([63, 64, 65, 1000, 100_000])),
    st.sampled_from(
        [b"\xef\xbb\xbf{}", "{}".encode("utf-16"), b'{"kind":"a","kind":"b"}', b'"\\u0000"', b""]
    ),
    st.binary(max_size=60),
)
LARGE = st.sampled_from([MAX_BODY_BYTES - 1, MAX_BODY_BYTES, MAX_BODY_BYTES + 1]).map(_sized)


@st.composite
def messages(draw: Callable[..., Any]) -> Message:
    """Make one; most of them could nearly be taken."""
    mark = f"mark-{uuid4()}"
    entries = draw(HEADERS)
    values = {name: draw(OTHERS[name]) for name in draw(st.sets(st.sampled_from(list(OTHERS)), max_size=3))}
    if any(name == b"x-death" for name, _ in entries):
        # RabbitMQ 3.10.8 itself gives up all dead-lettering over a forged one on what expires, for every queue.
        values.pop("expiration", None)
    values["app_id"] = short(mark.encode())
    message_id = draw(
        st.sampled_from([b"", b"\xff\0", *(one.encode() for one in IDS)]) | st.none() | FRESH | FRESH
    )
    if message_id is not None:
        values["message_id"] = short(message_id)
    if entries:
        values["headers"] = table(entries)
    body = draw(LARGE) if draw(st.integers(0, 40)) == 0 else draw(BODIES)
    exchange, key = draw(PLACES)
    named = {*IDS, *([message_id.decode(errors="replace")] if message_id else [])}
    names = frozenset(name.decode(errors="replace") for name, _ in entries)
    return Message(exchange, key, Raw(values), body, frozenset(named), names, mark)


FRESH = st.builds(lambda: str(uuid4()).encode())
PLACES = st.one_of(
    st.tuples(st.just("{}.tasks"), st.sampled_from(KEYS)),
    st.tuples(st.just("{}.tasks"), st.sampled_from(KEYS)),
    st.tuples(st.just("{}.dead-letters"), st.sampled_from([*KEYS, "", "é" * 100])),
    st.sampled_from(["{}.tasks.high", "{}.tasks.low", "{}.dead-letters"]).map(partial(lambda key: ("", key))),
)
