"""Properties as bytes: split, read and written back without a loss."""

import struct

import pytest
from hypothesis import given, strategies as st
from pamqp.commands import Basic

from parlor.adapters.rabbitmq.properties import Properties, entry, table

texts = st.text(max_size=40)
values = st.one_of(
    st.booleans(), st.integers(-(2**63), 2**63 - 1), texts, st.none(), st.binary(max_size=9).map(bytearray)
)
nested = st.recursive(
    values, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3))
)


@given(
    content_type=st.none() | texts.filter(bool),
    headers=st.none() | st.dictionaries(st.text(max_size=20), nested, max_size=4),
    delivery_mode=st.sampled_from([None, 1, 2]),
    message_id=st.none() | texts.filter(bool),
    app_id=st.none() | texts.filter(bool),
)
def test_what_the_library_writes_is_read_and_written_back(
    content_type: str | None,
    headers: dict[str, object] | None,
    delivery_mode: int | None,
    message_id: str | None,
    app_id: str | None,
) -> None:
    theirs = Basic.Properties(
        content_type=content_type,
        headers=headers,  # type: ignore[arg-type]  # nested values of AMQP are no simple type
        delivery_mode=delivery_mode,
        message_id=message_id,
        app_id=app_id,
    )
    ours = Properties.parse(theirs.marshal())
    assert ours.marshal() == theirs.marshal()
    assert ours.text("content_type") == content_type
    assert ours.text("message_id") == message_id
    assert ours.headers() == (headers or {})


@given(headers=st.dictionaries(st.text(min_size=1, max_size=20), nested, max_size=4))
def test_a_stamp_replaces_its_own_kind_and_leaves_the_rest(headers: dict[str, object]) -> None:
    theirs = Basic.Properties(headers={**headers, "x-old": 1})  # type: ignore[dict-item]  # as above
    stamped = Properties.parse(theirs.marshal()).stamped((b"x-",), {"x-new": "word"})
    kept = {key: value for key, value in headers.items() if not key.startswith("x-")}
    assert stamped.headers() == kept | {"x-new": "word"}


def test_a_double_keeps_its_bytes() -> None:
    """The library would make a float of it."""
    precise = entry("precise", b"d" + struct.pack(">d", 0.1))
    stamped = Properties({"headers": table({}, precise)}).stamped((b"x-",), {"x": "y"})
    assert precise in stamped.marshal()


def test_an_id_that_is_no_text_is_marked() -> None:
    assert Properties({"message_id": b"\x02\xffa"}).text("message_id") == "\N{REPLACEMENT CHARACTER}a"


@pytest.mark.parametrize(
    "value",
    [
        b"T" + b"\xff" * 8,
        b"F" * 9,
        b"Z",
        b"D\x00",
        *(b"".join(b"F" + struct.pack(">I", 5 * n) + b"\0" for n in range(9000, 0, -1)),),
    ],
    ids=["a time beyond time", "a cut table", "no type", "a cut decimal", "nested too deep"],
)
def test_headers_that_cannot_be_read_count_as_none(value: bytes) -> None:
    assert Properties({"headers": table({}, entry("key", value))}).headers() == {}
